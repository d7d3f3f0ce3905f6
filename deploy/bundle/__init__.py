"""Build a release: wheel and sdist, and one signed archive that installs without a network.

    build      wheel and sdist of a commit: the same bytes wherever and whenever they are built
    parts      the packages that are installed with an extra, and their licences
    sbom       the same packages as a CycloneDX document
    pack       the archive: wheels, their hashes, SBOM, licences, installer, and the signature
    install.sh verifies the archive with openssl, and installs only from its files

`docs/release.md` describes how a release is made and checked. The wheel contains none of this.
"""
