//! A JSON object of a request. The known keys are taken out one by one; what is left is unknown.

use crate::codec::fault::Fault;
use crate::codec::json::Json;
use crate::codec::query::shortened;
use crate::codec::suggest;

/// An object, its path, and the keys that were taken so far.
pub(super) struct Object {
    path: String,
    members: Vec<(String, Json)>,
    known: Vec<&'static str>,
}

/// A value with its path.
pub(super) struct Field {
    pub(super) path: String,
    pub(super) json: Json,
}

impl Object {
    /// Opens an object; its keys may be written with `-` or `_`.
    ///
    /// # Errors
    ///
    /// The value is not an object, or has both spellings of one key.
    pub(super) fn open(path: &str, json: Json, like: &str) -> Result<Self, Fault> {
        let Json::Object(mut members) = json else {
            let text = format!("must be an object such as {like}, found {}", json.kind());
            return Err(Fault::shape(path, text));
        };
        for (key, _) in &mut members {
            if key.contains('-') {
                *key = key.replace('-', "_");
            }
        }
        let repeated = members.iter().enumerate().find_map(|(index, (key, _))| {
            let before = &members[..index];
            before.iter().any(|(other, _)| other == key).then_some(key)
        });
        if let Some(key) = repeated.filter(|key| key.contains('_')) {
            let text = "is given twice, with - and with _";
            return Err(Fault::shape(&join(path, key), text));
        }
        Ok(Self {
            path: path.to_owned(),
            members,
            known: Vec::with_capacity(32),
        })
    }

    /// The value of a key; `key` is written with `_`.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Field> {
        self.known.push(key);
        let at = self.members.iter().position(|(name, _)| name == key)?;
        let (_, json) = self.members.swap_remove(at);
        let path = join(&self.path, key);
        Some(Field { path, json })
    }

    /// The value of a key, converted by `read`.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Field) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.take(key).map(read).transpose()
    }

    /// The value of a required key.
    pub(super) fn need(&mut self, key: &'static str) -> Result<Field, Fault> {
        self.take(key)
            .ok_or_else(|| Fault::missing(join(&self.path, key)))
    }

    /// Refuses the object if keys are left.
    pub(super) fn close(self) -> Result<(), Fault> {
        match self.members.first() {
            None => Ok(()),
            Some((key, _)) => {
                let hint = suggest::hint(key, self.known.iter().copied());
                Err(Fault::unknown(join(&self.path, &shortened(key)), &hint))
            }
        }
    }
}

impl Field {
    pub(super) fn wrong(&self, wanted: &str) -> Fault {
        let text = format!("must be {wanted}, found {}", self.json.kind());
        Fault::shape(&self.path, text)
    }

    pub(super) fn text(self) -> Result<String, Fault> {
        match self.json {
            Json::String(text) => Ok(text),
            _ => Err(self.wrong("a string")),
        }
    }

    /// A text that has to follow the rules of a type.
    pub(super) fn checked<T, E: std::fmt::Display>(
        self,
        new: impl FnOnce(String) -> Result<T, E>,
    ) -> Result<T, Fault> {
        let path = self.path.clone();
        new(self.text()?).map_err(|error| Fault::shape(&path, error.to_string()))
    }

    pub(super) fn flag(self) -> Result<bool, Fault> {
        match self.json {
            Json::Bool(flag) => Ok(flag),
            _ => Err(self.wrong("true or false")),
        }
    }

    /// A whole number, at least `least`.
    pub(super) fn whole(&self, least: u64) -> Result<u64, Fault> {
        let number = self.json.whole().filter(|number| *number >= least);
        number.ok_or_else(|| self.wrong(&format!("a whole number from {least}")))
    }

    /// The items of an array. The path of each has its index.
    pub(super) fn items(self, of: &str) -> Result<Vec<Field>, Fault> {
        let Json::Array(items) = self.json else {
            return Err(self.wrong(&format!("an array of {of}")));
        };
        let item = |(index, json)| Field {
            path: format!("{}[{index}]", self.path),
            json,
        };
        Ok(items.into_iter().enumerate().map(item).collect())
    }

    /// The members of an object of strings whose keys are chosen by the client.
    pub(super) fn strings(self) -> Result<Vec<(Field, String)>, Fault> {
        let Json::Object(members) = self.json else {
            return Err(self.wrong("an object of strings"));
        };
        let member = |(key, json): (String, Json)| {
            let field = Field {
                path: format!("{}.{}", self.path, shortened(&key)),
                json,
            };
            (field, key)
        };
        Ok(members.into_iter().map(member).collect())
    }
}

fn join(path: &str, key: &str) -> String {
    match path.is_empty() {
        true => key.to_owned(),
        false => format!("{path}.{key}"),
    }
}
