//! `:authorization`: how callers of the API are identified.

use super::section::{Entry, Section, Unknown};
use crate::codec::edn::{Error, Value};
use crate::core::words::UserName;

/// How callers are identified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authorization {
    /// All permitted callers are one user, named like the scheduler's own user.
    #[default]
    OwnUser,
    /// All permitted callers are this user.
    OneUser(UserName),
    /// By user name and password (HTTP Basic).
    Basic(Vec<Login>),
}

/// A user who may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: UserName,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    /// Never displays the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({})", self.user)
    }
}

const ADMINS_RETIRED: [&str; 2] = ["authorization-fn", "impersonators"];

pub(super) fn authorization(
    entry: Entry,
    remarks: &mut Vec<String>,
) -> Result<Authorization, Error> {
    let (place, path) = (entry.node.place, entry.path.clone());
    let mut section = Section::open(entry)?;
    let user = section.get("one-user", user)?;
    let basic = section.get("http-basic", http_basic)?;
    if let Some(kerberos) = section.take("kerberos") {
        return Err(kerberos.fail("is not supported: use :one-user or :http-basic".to_owned()));
    }
    section.close(Unknown::Warn, &[], remarks)?;
    match (user, basic.flatten()) {
        (Some(_), Some(_)) => Err(Error {
            place,
            text: format!("{path} must have one of :one-user and :http-basic"),
        }),
        (Some(user), None) => Ok(Authorization::OneUser(user)),
        (None, Some(logins)) => Ok(Authorization::Basic(logins)),
        (None, None) => Ok(Authorization::OwnUser),
    }
}

pub(super) fn admins(entry: Entry, remarks: &mut Vec<String>) -> Result<Vec<UserName>, Error> {
    let mut section = Section::open(entry)?;
    let admins = section.get("admins", |entry| {
        let elements = entry.elements("a set of names such as #{\"bob\"}")?;
        elements.into_iter().map(user).collect()
    })?;
    section.close(Unknown::Warn, &ADMINS_RETIRED, remarks)?;
    Ok(admins.unwrap_or_default())
}

/// A user name that follows Cook's rules.
fn user(entry: Entry) -> Result<UserName, Error> {
    entry.checked(UserName::new)
}

/// `None` for `false`.
fn http_basic(entry: Entry) -> Result<Option<Vec<Login>>, Error> {
    let open = "would accept any password: list the allowed logins, such as {:validation :config-file :valid-logins #{[\"user\" \"password\"]}}";
    match entry.node.value {
        Value::Bool(false) => return Ok(None),
        Value::Bool(true) => return Err(entry.fail(format!("true {open}"))),
        _ => {}
    }
    let (place, path) = (entry.node.place, entry.path.clone());
    let mut section = Section::open(entry)?;
    if let Some(validation) = section.take("validation") {
        match &validation.node.value {
            Value::Keyword(name) if name == "config-file" => {}
            Value::Keyword(name) if name == "open" => {
                return Err(validation.fail(format!(":open {open}")));
            }
            _ => return Err(validation.wrong(":config-file")),
        }
    }
    let logins = section.get("valid-logins", |entry| {
        let elements = entry.elements("a set of logins such as #{[\"user\" \"password\"]}")?;
        elements
            .into_iter()
            .map(login)
            .collect::<Result<Vec<_>, _>>()
    })?;
    section.close(Unknown::Refuse, &[], &mut Vec::new())?;
    match logins {
        Some(logins) if !logins.is_empty() => Ok(Some(logins)),
        _ => Err(Error {
            place,
            text: format!("{path} without :valid-logins {open}"),
        }),
    }
}

fn login(entry: Entry) -> Result<Login, Error> {
    let wrong = entry.fail("must be a user and a password: [\"user\" \"password\"]".to_owned());
    let parts = entry.elements("a login such as [\"user\" \"password\"]")?;
    let Ok([name, password]) = <[Entry; 2]>::try_from(parts) else {
        return Err(wrong);
    };
    Ok(Login {
        user: user(name)?,
        password: password.text()?,
    })
}
