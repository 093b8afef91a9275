"""The tests. Each function without a leading underscore is a test; its name is the sentence that it proves. It gets a Cook (see
cook.py) and fails by raising. Besides the state, Task.ends checks for every task that there is only one terminal state, that no
process is left, and that the executor itself exited with 0."""
