//! Small checked types for names, texts, amounts and times. Each constructor checks the limits of its
//! value, so that other code can rely on them.

mod hook;
mod identity;
mod resources;
mod text;
mod time;

pub use hook::{Guard, Hook, HookTimeout, Timing};
pub use identity::{GroupId, IdSource, InstanceId, JobId, Uuid};
pub use resources::{Amount, Demand, PortRange, Ports, TooSmall};
pub use text::{
    ApplicationText, Command, EnvName, JobName, LabelText, Limit, Message, NotEmpty, TextError,
    UserName,
};
pub use time::{Anchor, BootId, Clock, MOST_BETWEEN_BOOTS, Moment, Steady, Uptime, Wall};
