//! The core in every state: every reachable state of every small plan, with every event that is possible in
//! it; long random walks of larger plans; and walks by the clock. Every state is checked against the same
//! promises.
//!
//! The model of the world is as hostile as the real one: commands end in any way or never, ignore SIGTERM
//! and leave processes behind; the agent goes away, loses calls, repeats and forgets acknowledgements, and
//! kills at any time. Time passes only when nothing else can happen.

mod clock;
mod exhaustive;
mod model;
mod random;
