//! Where, and as whom, a task asks to run. The agent has decided both for the executor itself, and its flags are
//! checked in [`super::arguments`]. A task of a custom executor can ask for something else, which the executor cannot
//! do and must not ignore.

use crate::core::plan::TaskRefusal;
use crate::words::units::truncate;
use cook_mesos::messages::{CommandInfo, ContainerInfo};

/// Whether the executor runs as the user of this name. `None` if that is not known here.
pub type IsUser = fn(&[u8]) -> Option<bool>;

/// Maximum length of a name that is quoted.
const MAX_QUOTED: usize = 64;

/// Checks that a task can run where the executor is, as the executor's user. `remark` gets a line if that is not
/// known.
///
/// # Errors
///
/// The task asks for a container image, or for another user.
pub fn check_place(
    command: Option<&CommandInfo>,
    container: Option<&ContainerInfo>,
    is_user: IsUser,
    remark: &mut dyn FnMut(String),
) -> Result<(), TaskRefusal> {
    let has_image = |container: &ContainerInfo| {
        let mesos = container.mesos.as_ref();
        container.docker.is_some() || mesos.is_some_and(|mesos| !mesos.is_empty())
    };
    if container.is_some_and(has_image) {
        let text = "the task asks for a container image, which cook-executor does not support: give the image to \
                    the executor, or run the task with one of Mesos' own executors";
        return Err(TaskRefusal(text.to_owned()));
    }
    let user = command.and_then(|command| command.user.as_deref());
    let Some(user) = user.filter(|user| !user.is_empty()) else {
        return Ok(());
    };
    let shown = truncate(&String::from_utf8_lossy(user), MAX_QUOTED);
    match is_user(user) {
        Some(true) => {}
        Some(false) => {
            return Err(TaskRefusal(format!(
                "the task asks for the user {shown:?}, but the executor runs as another user: set this user for the \
                 executor, and let the agent switch users"
            )));
        }
        None => remark(format!(
            "the task asks for the user {shown:?}; neither this user nor the executor's is in /etc/passwd"
        )),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: Option<CommandInfo>, container: Option<ContainerInfo>) -> Result<usize, ()> {
        let is_user: IsUser = |name| match name {
            b"me" => Some(true),
            b"other" => Some(false),
            _ => None,
        };
        let mut remarks = 0;
        let remark = &mut |_| remarks += 1;
        let checked = check_place(command.as_ref(), container.as_ref(), is_user, remark);
        checked.map(|()| remarks).map_err(|_| ())
    }

    #[test]
    fn another_user_is_refused_and_an_unknown_one_is_remarked_on() {
        let as_user = |user: &str| {
            let user = Some(user.into());
            let command = CommandInfo {
                user,
                ..CommandInfo::default()
            };
            check(Some(command), None)
        };
        assert_eq!(as_user("me"), Ok(0));
        assert_eq!(as_user("other"), Err(()));
        assert_eq!(as_user("nobody here"), Ok(1));
        assert_eq!(check(Some(CommandInfo::default()), None), Ok(0));
    }

    #[test]
    fn an_image_is_refused_and_a_container_without_one_is_the_agents_affair() {
        let mesos = |info: &[u8]| ContainerInfo {
            docker: None,
            mesos: Some(info.to_vec()),
        };
        let docker = ContainerInfo {
            docker: Some(b"an image".to_vec()),
            mesos: None,
        };
        assert_eq!(check(None, Some(docker)), Err(()));
        assert_eq!(check(None, Some(mesos(b"an image"))), Err(()));
        assert_eq!(check(None, Some(mesos(b""))), Ok(0));
        assert_eq!(check(None, Some(ContainerInfo::default())), Ok(0));
    }
}
