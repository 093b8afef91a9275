//! Keys that are checked, stored and returned, but have no effect.

use serde_json::json;

use super::object::{Field, Object};
use crate::codec::fault::Fault;
use crate::codec::json::Json;
use crate::core::job::Application;
use crate::core::words::{ApplicationText, NotEmpty};

pub(super) fn application(field: Field) -> Result<Application, Fault> {
    let like = "{\"name\": \"...\", \"version\": \"...\"}";
    let mut object = Object::open(&field.path, field.json, like)?;
    let application = Application {
        name: object.need("name")?.checked(ApplicationText::new)?,
        version: object.need("version")?.checked(ApplicationText::new)?,
        workload_class: object.get("workload_class", |field| field.checked(NotEmpty::new))?,
        workload_id: object.get("workload_id", |field| field.checked(NotEmpty::new))?,
        workload_details: object.get("workload_details", |field| field.checked(NotEmpty::new))?,
    };
    object.close()?;
    Ok(application)
}

/// Checkpoints exist only with Cook on Kubernetes; here the key is checked and returned.
pub(super) fn checkpoint(field: Field) -> Result<Box<str>, Fault> {
    let mut object = Object::open(&field.path, field.json, "{\"mode\": \"auto\"}")?;
    let mode = object.need("mode")?;
    let mode = match &mode.json {
        Json::String(text) if ["auto", "periodic", "preemption"].contains(&text.as_str()) => {
            text.clone()
        }
        _ => return Err(mode.wrong("\"auto\", \"periodic\" or \"preemption\"")),
    };
    let mut shown = json!({ "mode": mode });
    if let Some(paths) = object.get("options", preserve_paths)?.flatten() {
        shown["options"] = json!({ "preserve-paths": paths });
    }
    if let Some(seconds) = object.get("periodic_options", period)? {
        shown["periodic-options"] = json!({ "period-sec": seconds });
    }
    object.close()?;
    Ok(shown.to_string().into())
}

fn preserve_paths(field: Field) -> Result<Option<Vec<String>>, Fault> {
    let mut object = Object::open(&field.path, field.json, "{\"preserve-paths\": [\"...\"]}")?;
    let paths = object.get("preserve_paths", |field| {
        let items = field.items("strings")?;
        items.into_iter().map(Field::text).collect()
    })?;
    object.close()?;
    Ok(paths)
}

fn period(field: Field) -> Result<u64, Fault> {
    let mut object = Object::open(&field.path, field.json, "{\"period-sec\": 60}")?;
    let seconds = object.need("period_sec")?.whole(1)?;
    object.close()?;
    Ok(seconds)
}
