"""`python -m ullage` is the same as `ullage`."""

from ullage.cli import main

if __name__ == "__main__":
    main()
