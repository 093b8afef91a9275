//! A map of the configuration file. The known keys are taken out one by one; what is left is unknown or
//! retired.

use super::super::edn::{Error, Node, Place, Value};
use super::super::suggest;
use crate::core::words::Amount;

/// A map whose keys are keywords, with its path.
pub(super) struct Section {
    path: String,
    place: Place,
    entries: Vec<Entry>,
    known: Vec<&'static str>,
}

/// A value with its path, such as `:executor :log-level`.
pub(super) struct Entry {
    pub(super) key: String,
    /// The place of the key.
    pub(super) key_place: Place,
    pub(super) path: String,
    pub(super) node: Node,
}

/// How unknown keys are handled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    Refuse,
    Warn,
}

impl Entry {
    /// An error about this value: `PATH must be WANTED, found ...`.
    pub(super) fn wrong(&self, wanted: &str) -> Error {
        let found = match &self.node.value {
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Keyword(name) => format!(":{name}"),
            Value::Symbol(name) => format!("the symbol {name}: write text in \"quotes\""),
            Value::String(text) if text.trim().is_empty() => "blank text".to_owned(),
            // Other text is not repeated, because it may be a password in the wrong place.
            other => other.kind().to_owned(),
        };
        self.fail(format!("must be {wanted}, found {found}"))
    }

    /// An error about this value: `PATH TEXT`.
    pub(super) fn fail(&self, text: String) -> Error {
        Error {
            place: self.node.place,
            text: format!("{} {text}", self.path),
        }
    }

    /// Text that is not blank and has no NUL byte, which is not allowed in commands and paths.
    pub(super) fn text(self) -> Result<String, Error> {
        match self.node.value {
            Value::String(ref text) if text.contains('\0') => {
                Err(self.fail("must not contain a NUL byte".to_owned()))
            }
            Value::String(text) if !text.trim().is_empty() => Ok(text),
            _ => Err(self.wrong("text in quotes")),
        }
    }

    pub(super) fn flag(self) -> Result<bool, Error> {
        match self.node.value {
            Value::Bool(flag) => Ok(flag),
            _ => Err(self.wrong("true or false")),
        }
    }

    /// A whole number in a range.
    pub(super) fn integer(&self, from: i64, to: i64) -> Result<i64, Error> {
        match self.node.value {
            Value::Integer(number) if (from..=to).contains(&number) => Ok(number),
            _ if to == i64::MAX => Err(self.wrong(&format!("a whole number from {from}"))),
            _ => Err(self.wrong(&format!("a whole number from {from} to {to}"))),
        }
    }

    /// A number above 0, multiplied by `unit`.
    pub(super) fn amount(self, unit: f64) -> Result<Amount, Error> {
        let amount = self.number().map(|number| Amount::positive(number * unit));
        match amount {
            Some(Ok(amount)) => Ok(amount),
            Some(Err(_)) | None => Err(self.wrong("a number above 0")),
        }
    }

    /// Any number.
    pub(super) fn number(&self) -> Option<f64> {
        match self.node.value {
            Value::Integer(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            _ => None,
        }
    }

    /// A number above 0.
    pub(super) fn positive(self) -> Result<f64, Error> {
        let number = self.number().filter(|number| *number > 0.0);
        number.ok_or_else(|| self.wrong("a number above 0"))
    }

    /// Text that has to follow the rules of a type.
    pub(super) fn checked<T, E: std::fmt::Display>(
        self,
        new: impl FnOnce(String) -> Result<T, E>,
    ) -> Result<T, Error> {
        let (place, path) = (self.node.place, self.path.clone());
        new(self.text()?).map_err(|error| Error {
            place,
            text: format!("{path} {error}"),
        })
    }

    /// The elements of a vector, list or set. The path of each has its index.
    pub(super) fn elements(self, wanted: &str) -> Result<Vec<Entry>, Error> {
        let nodes = match self.node.value {
            Value::Vector(nodes) | Value::List(nodes) | Value::Set(nodes) => nodes,
            _ => return Err(self.wrong(wanted)),
        };
        let element = |(index, node): (usize, Node)| Entry {
            key: String::new(),
            key_place: node.place,
            path: format!("{}[{index}]", self.path),
            node,
        };
        Ok(nodes.into_iter().enumerate().map(element).collect())
    }
}

impl Section {
    /// Opens a map.
    ///
    /// # Errors
    ///
    /// The value is not a map, or one of its keys is not a keyword.
    pub(super) fn open(entry: Entry) -> Result<Self, Error> {
        let Value::Map(pairs) = entry.node.value else {
            return Err(match entry.path.is_empty() {
                false => entry.wrong("a map"),
                true => Error {
                    place: entry.node.place,
                    text: format!(
                        "the configuration must be a map such as {{:port 12321}}, found {}",
                        entry.node.value.kind()
                    ),
                },
            });
        };
        let mut entries = Vec::with_capacity(pairs.len());
        for (name, node) in pairs {
            let key = match name.value {
                Value::Keyword(key) => key,
                Value::String(text) | Value::Symbol(text) if is_name(&text) => {
                    let text = format!("write the key as a keyword: :{text}");
                    return Err(Error {
                        place: name.place,
                        text,
                    });
                }
                other => {
                    let text = format!("a key must be a keyword, found {}", other.kind());
                    return Err(Error {
                        place: name.place,
                        text,
                    });
                }
            };
            let path = match entry.path.is_empty() {
                true => format!(":{key}"),
                false => format!("{} :{key}", entry.path),
            };
            entries.push(Entry {
                key,
                key_place: name.place,
                path,
                node,
            });
        }
        Ok(Self {
            path: entry.path,
            place: entry.node.place,
            entries,
            known: Vec::new(),
        })
    }

    /// The value of a key; `None` if it is absent or `nil`.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.known.push(key);
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        let entry = self.entries.remove(at);
        (entry.node.value != Value::Nil).then_some(entry)
    }

    /// The value of a key, converted by `read`.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Entry) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.take(key).map(read).transpose()
    }

    /// The value of a required key.
    pub(super) fn need(&mut self, key: &'static str) -> Result<Entry, Error> {
        let place = self.place;
        self.take(key).ok_or_else(|| Error {
            place,
            text: format!("{} needs :{key}", self.path),
        })
    }

    /// Reports the remaining keys. Those in `retired` are keys of Cook that have no meaning here.
    pub(super) fn close(
        self,
        unknown: Unknown,
        retired: &[&str],
        remarks: &mut Vec<String>,
    ) -> Result<(), Error> {
        for entry in self.entries {
            if retired.contains(&entry.key.as_str()) {
                remarks.push(format!(
                    "{}: {} is accepted but has no effect here",
                    entry.key_place, entry.path
                ));
                continue;
            }
            let text = match unknown {
                Unknown::Refuse => "is not a known key",
                Unknown::Warn => "is not a known key and is ignored",
            };
            let names = self.known.iter().copied();
            let hint = match suggest::nearest(&entry.key, names) {
                Some(meant) => format!(" (did you mean :{meant}?)"),
                None => String::new(),
            };
            let text = format!("{} {text}{hint}", entry.path);
            let place = entry.key_place;
            match unknown {
                Unknown::Refuse => return Err(Error { place, text }),
                Unknown::Warn => remarks.push(format!("{place}: {text}")),
            }
        }
        Ok(())
    }
}

/// Whether a text has the form of a key.
fn is_name(text: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    !text.is_empty() && text.len() <= 64 && text.chars().all(allowed)
}
