"""Look up whether a customer is affected, for somebody on the phone, a risk engine or a page.

lookup        find a person's exposures and answer with what may be disclosed
limits        bound how often one may ask, and notice scans of adjacent numbers
screening     answer a risk engine, which knows customers by pseudonym or keyed hash
typed_value   read one identifier that a person typed, or say what to check
"""
