"""The clocks of an incident: who must be told of it, by when, and what has been told already.

A leak starts several clocks, each from its own moment: from when somebody learned of it, from when a person confirmed it, from
when the handling ended. A score never starts one: the row of the severity table must say `run`, or a person must have confirmed
it. Where the row says `if confirmed` and nobody has decided, the clocks are shown as conditional, because the time until somebody
decides counts already.

    regimes.toml, regimes   who must be told, when does it apply, what does the rule say, was its text read
    deadline                from a moment and "5 working days" (`ullage.calendar`) to the second that it is due
    moments                 when it was seen, alerted, acknowledged, confirmed, resolved
    duties                  one regime's stages for one incident, and the earliest that is open
"""
