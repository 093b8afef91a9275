//! The environment of the commands: what the executor was given, what the task adds, what PATCHes
//! change. Names and values are bytes, as the kernel has them.

use std::collections::BinaryHeap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use crate::core::variables::{self, Class};

/// The name of an environment variable: not empty, without `=` and NUL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(OsString);

/// The value of an environment variable: without NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(OsString);

/// Why bytes cannot be a variable's name or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalid {
    /// A name of no bytes.
    EmptyName,
    /// A name with `=` in it, which would read as a shorter name.
    EqualsInName,
    /// A NUL byte, which ends a string for the kernel.
    Nul,
}

/// The most that all variables may take together: the kernel gives arguments and environment 2 MiB
/// with the usual stack limit of 8 MiB (execve(2)), and the command's own text has to fit as well.
pub const MAX_SIZE: usize = 1 << 20;

/// The longest value that can be set. The kernel takes 128 KiB with the name (`MAX_ARG_STRLEN`).
pub const MAX_VALUE: usize = 64 << 10;

/// The longest name that can be set: with the longest value, far below what the kernel takes.
pub const MAX_NAME: usize = 4 << 10;

/// What a variable takes besides its name and its value: `=`, a NUL, and a pointer, which the kernel
/// counts too. Without it, a hundred thousand short variables would seem to have room.
const OVERHEAD: usize = 2 + 8;

/// Variables sorted by name, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Environment {
    variables: Vec<(Name, Value)>,
}

// === impl Name ===

impl Name {
    /// Checks that `bytes` can name a variable.
    ///
    /// # Errors
    ///
    /// Says what is wrong with a name that is empty or has `=` or NUL in it.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, Invalid> {
        let bytes = bytes.into();
        match bytes.iter().find(|byte| matches!(byte, b'=' | 0)) {
            _ if bytes.is_empty() => Err(Invalid::EmptyName),
            Some(0) => Err(Invalid::Nul),
            Some(_) => Err(Invalid::EqualsInName),
            None => Ok(Self(OsString::from_vec(bytes))),
        }
    }

    /// The name as the kernel has it.
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }
}

// === impl Value ===

impl Value {
    /// Checks that `bytes` can be a variable's value.
    ///
    /// # Errors
    ///
    /// A value cannot have a NUL byte in it.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, Invalid> {
        let bytes = bytes.into();
        match bytes.contains(&0) {
            true => Err(Invalid::Nul),
            false => Ok(Self(OsString::from_vec(bytes))),
        }
    }

    /// The value as the kernel has it.
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }
}

/// Values may be secrets: they appear in no log and no panic message.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

// === impl Invalid ===

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EmptyName => "the name of a variable must not be empty",
            Self::EqualsInName => "the name of a variable must not contain '='",
            Self::Nul => "names and values of variables must not contain a NUL byte",
        })
    }
}

impl std::error::Error for Invalid {}

// === impl Environment ===

impl Environment {
    /// The variables of a process; what no process can have been given is skipped.
    pub fn inherited(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            if let (Ok(name), Ok(value)) =
                (Name::new(name.into_vec()), Value::new(value.into_vec()))
            {
                environment.set(name, value);
            }
        }
        environment
    }

    /// Sets or replaces one variable.
    pub fn set(&mut self, name: Name, value: Value) {
        match self.position(name.as_os_str()) {
            Ok(at) => self.variables[at].1 = value,
            Err(at) => self.variables.insert(at, (name, value)),
        }
    }

    /// Gives each of these variables the value that it has in `given`, or none.
    pub fn reset(&mut self, names: &[Name], given: &[(Name, Value)]) {
        let value = |name: &Name| {
            let last = given.iter().rfind(|(given, _)| given == name);
            last.map(|(_, value)| value.clone())
        };
        self.apply(
            names
                .iter()
                .map(|name| (name.clone(), value(name)))
                .collect(),
        );
    }

    /// What [`Self::apply`] needs to set all of these in another environment.
    pub fn into_changes(self) -> impl Iterator<Item = (Name, Option<Value>)> {
        let variables = self.variables.into_iter();
        variables.map(|(name, value)| (name, Some(value)))
    }

    /// Makes this the environment of a task's commands: what only the executor may know goes, and of what the
    /// executor sets there is only `own`. Returns what was set from outside, and to something else.
    pub fn take_over(&mut self, own: Vec<(Name, Value)>) -> Vec<&'static str> {
        let mut changes = Vec::new();
        let mut overridden = Vec::new();
        let hidden = variables::names(Class::Hooks).chain(variables::names(Class::Secret));
        for name in hidden.chain(variables::names(Class::ForCommands)) {
            let own = own.iter().find(|(own, _)| own.as_os_str() == name);
            let own = own.map(|(_, value)| value);
            let given = self.get(name);
            let is_ours = variables::class_of(name.as_ref()) == Some(Class::ForCommands);
            if is_ours && given.is_some() && given != own.map(Value::as_os_str) {
                overridden.push(name);
            }
            if let Ok(name) = Name::new(name) {
                changes.push((name, own.cloned()));
            }
        }
        self.apply(changes);
        overridden
    }

    /// Removes one variable, if it is there.
    pub fn unset(&mut self, name: &Name) {
        if let Ok(at) = self.position(name.as_os_str()) {
            self.variables.remove(at);
        }
    }

    /// Whether the environment would stay below [`MAX_SIZE`] with these changes, or at least not grow.
    pub fn has_room_for(&self, changes: &[(Name, Option<Value>)]) -> bool {
        let size = |name: &OsStr, value: &OsStr| name.len() + value.len() + OVERHEAD;
        let present: usize = self.iter().map(|(name, value)| size(name, value)).sum();
        let (mut removed, mut added) = (0, 0);
        for (name, value) in changes {
            let name = name.as_os_str();
            if let Ok(at) = self.position(name) {
                removed += size(name, self.variables[at].1.as_os_str());
            }
            added += value
                .as_ref()
                .map_or(0, |value| size(name, value.as_os_str()));
        }
        added <= removed || present + added - removed <= MAX_SIZE
    }

    /// Sets each variable that has a value and unsets each that has none; of several changes to one, the
    /// last counts.
    ///
    /// All at once: one after the other, each would move all variables behind it, and ten thousand of
    /// them would keep the loop for seconds.
    pub fn apply(&mut self, changes: Vec<(Name, Option<Value>)>) {
        let old = std::mem::take(&mut self.variables).into_iter();
        let old = old.map(|(name, value)| (name, Some(value)));
        // By name, and of equal names the newest first. A heap sorts with a fifth of the code of a sort.
        let newest_first = changes.into_iter().rev().chain(old).enumerate();
        let all: BinaryHeap<_> = newest_first
            .map(|(age, (name, value))| (name, age, value))
            .collect();
        let mut all = all.into_sorted_vec();
        all.dedup_by(|older, newer| older.0 == newer.0);
        let set = all
            .into_iter()
            .filter_map(|(name, _, value)| Some((name, value?)));
        self.variables = set.collect();
    }

    /// The value of `name`, if it is set.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        let at = self.position(name.as_ref()).ok()?;
        Some(self.variables[at].1.as_os_str())
    }

    /// All variables, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Where `name` is, or where it would have to be inserted.
    fn position(&self, name: &OsStr) -> Result<usize, usize> {
        self.variables
            .binary_search_by(|(known, _)| known.as_os_str().cmp(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("valid")
    }

    #[test]
    fn names_and_values_that_no_process_can_have_are_refused() {
        assert_eq!(Name::new(""), Err(Invalid::EmptyName));
        assert_eq!(Name::new("A=B"), Err(Invalid::EqualsInName));
        assert_eq!(Name::new("A\0"), Err(Invalid::Nul));
        assert_eq!(Value::new("a\0b"), Err(Invalid::Nul));
        assert!(Name::new(b"odd \xff name.-".to_vec()).is_ok());
        assert!(Value::new("").is_ok());
    }

    #[test]
    fn a_change_sets_replaces_and_unsets() {
        let mut environment =
            Environment::inherited([("A".into(), "1".into()), ("B".into(), "2".into())]);
        environment.apply(vec![
            (name("B"), Value::new("3").ok()),
            (name("A"), None),
            (name("C"), Value::new("4").ok()),
            (name("missing"), None),
            (name("D"), Value::new("5").ok()),
            (name("D"), None),
            (name("E"), None),
            (name("E"), Value::new("6").ok()),
        ]);
        let all: Vec<_> = environment
            .iter()
            .map(|(n, v)| (n.to_str(), v.to_str()))
            .collect();
        let wanted = [("B", "3"), ("C", "4"), ("E", "6")];
        assert_eq!(all, wanted.map(|(n, v)| (Some(n), Some(v))));
        assert_eq!(environment.get("C"), Some("4".as_ref()));
        assert_eq!(environment.get("D"), None);
    }

    /// Cook's own table (executor/tests/test_executor.py, line 322).
    #[test]
    fn a_reset_takes_variables_back_to_what_was_given() {
        let before = ["ANOTHER", "MINE", "OTHER"].map(|name| (name.into(), "bad".into()));
        let mut environment = Environment::inherited(before);
        let given = [("MINE", "good"), ("UNNAMED", "1")]
            .map(|(n, v)| (name(n), Value::new(v).expect("valid")));
        environment.reset(&[name("MINE"), name("ANOTHER"), name("MISSING")], &given);
        let all: Vec<_> = environment.iter().collect();
        let wanted = [("MINE", "good"), ("OTHER", "bad")];
        assert_eq!(all, wanted.map(|(n, v)| (n.as_ref(), v.as_ref())));
    }

    #[test]
    fn commands_get_what_is_theirs_and_no_hooks_and_no_token() {
        let before = [
            "EXECUTOR_BEFORE_COMMANDS",
            "EXECUTOR_DEFAULT_AFTER_COMMANDS",
            "MESOS_EXECUTOR_AUTHENTICATION_TOKEN",
            "EXECUTOR_ENDPOINT",
            "EXECUTOR_PHASE",
            "EXECUTOR_OF",
            "EXECUTOR_LOG_LEVEL",
            "MINE",
        ];
        let mut environment = Environment::inherited(before.map(|name| (name.into(), "x".into())));
        let value = |text: &str| Value::new(text).expect("valid");
        let own = vec![
            (name("EXECUTOR_ENDPOINT"), value("here")),
            (name("EXECUTOR_OF"), value("x")),
            (name("EXECUTOR_BIN"), value("bin")),
        ];
        let overridden = environment.take_over(own);
        assert_eq!(overridden, ["EXECUTOR_ENDPOINT", "EXECUTOR_PHASE"]);
        let all: Vec<_> = environment.iter().collect();
        let wanted = [
            ("EXECUTOR_BIN", "bin"),
            ("EXECUTOR_ENDPOINT", "here"),
            ("EXECUTOR_LOG_LEVEL", "x"),
            ("EXECUTOR_OF", "x"),
            ("MINE", "x"),
        ];
        assert_eq!(all, wanted.map(|(n, v)| (n.as_ref(), v.as_ref())));
    }

    #[test]
    fn a_hundred_thousand_changes_are_applied_in_one_go() {
        // One by one they would take minutes.
        let many = |prefix: &str| -> Vec<_> {
            let names = (0..100_000).map(|n| name(&format!("{prefix}{n}")));
            names.map(|name| (name, Value::new("").ok())).collect()
        };
        let mut environment = Environment::default();
        environment.apply(many("B"));
        environment.apply(many("A"));
        environment.apply(many("C"));
        assert_eq!(environment.iter().count(), 300_000);
    }

    #[test]
    fn there_is_room_for_a_mebibyte_and_always_for_less() {
        let mut environment = Environment::default();
        let large = || Value::new(vec![b'x'; MAX_SIZE - OVERHEAD - 1]).ok();
        assert!(environment.has_room_for(&[(name("A"), large())]));
        assert!(!environment.has_room_for(&[(name("AB"), large())]));
        environment.apply(vec![(name("A"), large())]);
        assert!(!environment.has_room_for(&[(name("B"), Value::new("").ok())]));
        assert!(environment.has_room_for(&[(name("A"), None)]));
        assert!(environment.has_room_for(&[(name("A"), large())]));
    }

    #[test]
    fn values_never_show_in_debug_output() {
        let mut environment = Environment::default();
        environment.set(name("TOKEN"), Value::new("secret").expect("valid"));
        assert!(!format!("{environment:?}").contains("secret"));
    }
}
