"""Sealed evidence: what was posted, as it was served, for a court or the police; readable by two people together and nobody else.

Off by default. Where a tenant turns it on, match seals the capture of a finding that is `high` or above by its own facts, at the
only moment at which the text is there, and keeps nothing that opens it:

    DATA/evidence/TENANT/FINDING.evidence   a line in clear (tenant, finding, when, to whom), then the sealed capture and manifest
    DATA/evidence/TENANT/FINDING.hold       an empty mark: this one does not expire
    DATA/keys/evidence/OFFICER.pub          the public halves of the two officers' keys

The seal is HPKE (`ullage.security.sealing`) to the first officer's key within HPKE to the second's, so both private keys are
needed. Those are files of the officers' own, each under a passphrase, and never on the host of a role. What is sealed is bound to
its tenant and finding: it does not open under another's name. A file is written once; the same finding again changes nothing.

`ullage evidence open --key` wants both keys, a case and a reason, and is in the audit log before anything is shown.
"""

OPEN, PACK = "evidence.open", "evidence.pack"
"""Actions in the audit log."""
OPENED = (OPEN, PACK)
