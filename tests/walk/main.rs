//! The core, walked through: every reachable state of every small plan, with every event that can come
//! in it, against the promises that must hold in all of them; and long random walks of larger plans.
//!
//! The world of the model is as hostile as the real one: commands end as they like or not at all,
//! ignore SIGTERM, leave processes behind; the agent goes away, loses calls, repeats and forgets
//! acknowledgements, kills at any moment. Time passes only when nothing else is left to happen.

mod exhaustive;
mod model;
mod random;
