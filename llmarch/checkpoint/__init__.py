"""What tensor headers say of an architecture.

`verify` compares them with a family's template; `inference` reads an architecture from them alone.
"""
