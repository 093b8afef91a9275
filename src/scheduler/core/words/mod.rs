//! The words of the scheduler: small checked types. A constructor holds the limit of its value, so that
//! nothing behind it has to look again.

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
