"""The tests. In each module every function without a leading underscore is one; its name is the sentence it proves.
It is called with a Cook (see cook.py) and fails by raising. Task.ends checks for every task, besides the state, that it
is the only terminal one, that no process is left, and that the executor itself ended well."""
