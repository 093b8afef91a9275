//! The environment of commands: what the executor inherited, what the task adds, and what PATCH requests
//! change. Names and values are bytes, as in the kernel.

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

/// Why bytes are not a valid name or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalid {
    /// The name is empty.
    EmptyName,
    /// The name contains `=`, so it would be read as a shorter name.
    EqualsInName,
    /// There is a NUL byte, which ends a string for the kernel.
    Nul,
}

/// Maximum size of all variables together. The kernel has 2 MiB for arguments and environment with the
/// usual stack limit of 8 MiB (execve(2)), and the command's own text must fit as well.
pub const MAX_SIZE: usize = 1 << 20;

/// Maximum length of a value. The kernel's limit is 128 KiB together with the name (`MAX_ARG_STRLEN`).
pub const MAX_VALUE: usize = 64 << 10;

/// Maximum length of a name. Together with the longest value it is far below the kernel's limit.
pub const MAX_NAME: usize = 4 << 10;

/// The size of a variable besides its name and value: `=`, a NUL, and a pointer, which the kernel counts
/// too. Without it, a hundred thousand short variables would seem to fit.
const OVERHEAD: usize = 2 + 8;

/// Variables sorted by name; each name occurs once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Environment {
    variables: Vec<(Name, Value)>,
}

// === impl Name ===

impl Name {
    /// Checks that `bytes` are a valid name.
    ///
    /// # Errors
    ///
    /// The name is empty, or contains `=` or NUL.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, Invalid> {
        let bytes = bytes.into();
        match bytes.iter().find(|byte| matches!(byte, b'=' | 0)) {
            _ if bytes.is_empty() => Err(Invalid::EmptyName),
            Some(0) => Err(Invalid::Nul),
            Some(_) => Err(Invalid::EqualsInName),
            None => Ok(Self(OsString::from_vec(bytes))),
        }
    }

    /// The name for the kernel.
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }
}

// === impl Value ===

impl Value {
    /// Checks that `bytes` are a valid value.
    ///
    /// # Errors
    ///
    /// The value contains a NUL byte.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, Invalid> {
        let bytes = bytes.into();
        match bytes.contains(&0) {
            true => Err(Invalid::Nul),
            false => Ok(Self(OsString::from_vec(bytes))),
        }
    }

    /// The value for the kernel.
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }
}

/// Values may be secret, so they never appear in a log or a panic message.
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
    /// The variables of a process. Invalid ones, which no process can get, are skipped.
    pub fn inherited(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let valid = variables.into_iter().filter_map(|(name, value)| {
            let name = Name::new(name.into_vec()).ok()?;
            Some((name, Value::new(value.into_vec()).ok()?))
        });
        let mut environment = Self::default();
        environment.set_all(valid);
        environment
    }

    /// Sets or replaces a variable.
    pub fn set(&mut self, name: Name, value: Value) {
        match self.position(name.as_os_str()) {
            Ok(at) => self.variables[at].1 = value,
            Err(at) => self.variables.insert(at, (name, value)),
        }
    }

    /// Sets or replaces these variables; see [`Self::apply`].
    pub fn set_all(&mut self, variables: impl IntoIterator<Item = (Name, Value)>) {
        let variables = variables.into_iter();
        self.apply(variables.map(|(name, value)| (name, Some(value))).collect());
    }

    /// Gives each of these variables the value that it has in `given`, or unsets it.
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

    /// All variables as changes for [`Self::apply`].
    pub fn into_changes(self) -> impl Iterator<Item = (Name, Option<Value>)> {
        let variables = self.variables.into_iter();
        variables.map(|(name, value)| (name, Some(value)))
    }

    /// Makes this the environment of a task's commands: removes what commands must not get, and sets `own`.
    /// Returns the names of variables that were set from outside to another value and are overridden.
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

    /// Unsets a variable.
    pub fn unset(&mut self, name: &Name) {
        if let Ok(at) = self.position(name.as_os_str()) {
            self.variables.remove(at);
        }
    }

    /// Whether these changes leave the size below [`MAX_SIZE`], or at least do not increase it.
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

    /// Sets each variable with a value, and unsets each one without. Of several changes to a variable, the
    /// last one counts.
    ///
    /// All changes are applied together. One after the other, each would move all variables behind it, and
    /// ten thousand changes would take seconds.
    pub fn apply(&mut self, changes: Vec<(Name, Option<Value>)>) {
        let old = std::mem::take(&mut self.variables).into_iter();
        let old = old.map(|(name, value)| (name, Some(value)));
        // Sorted by name, and the newest first for equal names. A heap needs a fifth of the code of a sort.
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

    /// The index of `name`, or where to insert it.
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
    fn invalid_names_and_values_are_refused() {
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

    /// The cases of Cook's own test (executor/tests/test_executor.py, line 322).
    #[test]
    fn a_reset_restores_the_given_values() {
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
    fn commands_get_neither_hooks_nor_the_token() {
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
    fn a_hundred_thousand_changes_are_applied_together() {
        // One by one, this would take minutes.
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
    fn there_is_room_for_a_mebibyte_and_always_for_a_shrinking_change() {
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
    fn values_never_appear_in_debug_output() {
        let mut environment = Environment::default();
        environment.set(name("TOKEN"), Value::new("secret").expect("valid"));
        assert!(!format!("{environment:?}").contains("secret"));
    }
}
