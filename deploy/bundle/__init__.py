"""What a release consists of: wheel and sdist, and one signed archive that installs on a machine
without network.

    build      wheel and sdist of a commit, the same bytes wherever and whenever they are built
    parts      what is installed with an extra, and under which licence each part of it stands
    sbom       the same as a CycloneDX document
    pack       the archive: wheels, their hashes, SBOM, licences, installer, and the signature
    install.sh verifies the archive with openssl, and installs from it alone

`docs/release.md` says how a release is made and checked. Nothing of this is in the wheel.
"""
