"""What people decide of incidents: who they are and why is checked, the audit log has it first, and it is only ever appended.

    decide         decisions: checked, logged, appended
    holds          what does not expire while a case needs it
    checked_text   names and notes that people type, which must not hold an identifier
    options        options that several commands have
    command        `ullage incidents duty`

What decisions add up to is in `alerts.incidents.status`, which report they call for in `alerts.clocks`.
"""
