//! The layers: each module uses only its own layer and those above it. Read from the sources, so that
//! a wrong arrow is red the day that it is drawn.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From the words down to the entry; a path stands for everything below it, the longest one counts.
const LAYERS: [(usize, &[&str]); 7] = [
    (0, &["units", "outcome"]),
    (1, &["core"]),
    (
        2,
        &[
            "http",
            "api",
            "mesos/messages",
            "mesos/recordio",
            "mesos/event",
            "mesos/call",
            "mesos/job",
            "mesos/cook",
            "tracking/lines",
            "tracking/pattern",
            "mesos", // its file only declares the others
        ],
    ),
    (
        3,
        &[
            "api/server",
            "api/connection",
            "api/peer",
            "api/seats",
            "mesos/address",
            "mesos/agent",
            "process",
            "tracking",
            "log",
            "memory",
            "inbox",
            "alarm",
            "stream",
            "client",
        ],
    ),
    (4, &["config"]),
    (5, &["runtime"]),
    (6, &["main"]),
];

/// What a module of each layer may name of the crates outside; a layer may use what those above may.
const CRATES: [(&str, usize); 11] = [
    ("serde", 2),
    ("serde_json", 2),
    ("prost", 2),
    ("http_types", 2),
    ("async_h1", 2),
    ("regex_lite", 2),
    ("memchr", 2),
    ("smol", 2), // its in-memory readers; what waits is in the world
    ("async_io", 3),
    ("async_process", 3),
    ("async_signal", 3),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// `core/lifecycle/mod.rs` is the module `core/lifecycle`.
fn module(path: &Path) -> String {
    let text = path.with_extension("").to_string_lossy().replace('\\', "/");
    text.strip_suffix("/mod").unwrap_or(&text).to_owned()
}

fn layer(module: &str) -> Option<usize> {
    let is_below = |prefix: &str| {
        module == prefix
            || module
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let all = LAYERS
        .iter()
        .flat_map(|(layer, names)| names.iter().map(move |name| (*name, *layer)));
    let mut fitting: Vec<_> = all.filter(|(name, _)| is_below(name)).collect();
    fitting.sort_by_key(|(name, _)| name.len());
    fitting.last().map(|(_, layer)| *layer)
}

/// The code of a file without its unit tests, which may use anything.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("readable");
    text.split("#[cfg(test)]")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Every module of this crate that a text names, as a path: `crate::core::plan::Plan` is `core/plan/Plan`.
fn named_modules(code: &str) -> Vec<String> {
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut named = Vec::new();
    for line in lines {
        for rest in line.split("crate::").skip(1) {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            let path = rest[..end.unwrap_or(rest.len())].trim_end_matches(':');
            named.push(path.replace("::", "/"));
        }
    }
    named
}

fn own_sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let relative = |path: &PathBuf| module(path.strip_prefix(&root).expect("below src"));
    let own = paths.iter().filter(|path| {
        let name = relative(path);
        // The developer's side stands outside; tests of the API live beside it.
        !(name == "lib" || name.starts_with("local") || name.starts_with("api/tests"))
    });
    own.map(|path| (relative(path), code(path))).collect()
}

#[test]
fn every_module_uses_only_its_own_layer_and_those_above() {
    let mut wrong = Vec::new();
    for (module, code) in own_sources() {
        let Some(own) = layer(&module) else {
            wrong.push(format!("{module} is in no layer: put it into one above"));
            continue;
        };
        for named in named_modules(&code) {
            match layer(&named) {
                Some(other) if other <= own => {}
                // A folder's own file may name the modules that it declares.
                Some(_) if named.starts_with(&format!("{module}/")) => {}
                found => wrong.push(format!("{module} (layer {own}) uses {named} ({found:?})")),
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_core_touches_neither_clocks_nor_files_nor_sockets_nor_foreign_crates() {
    let banned = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "std::io",
        "Instant",
        "SystemTime",
        "tracing",
        "rustix",
        ".await",
    ];
    let mut wrong = Vec::new();
    for (module, code) in own_sources() {
        let own = layer(&module).unwrap_or(usize::MAX);
        for line in code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            if own <= 1 {
                let found = banned.iter().filter(|word| line.contains(**word));
                wrong.extend(found.map(|word| format!("{module} has {word}: {line}")));
            }
            let foreign = CRATES
                .iter()
                .filter(|(name, least)| own < *least && line.contains(&format!("{name}::")));
            wrong.extend(foreign.map(|(name, _)| format!("{module} uses the crate {name}")));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn nothing_of_the_executor_uses_the_developers_side() {
    for (module, code) in own_sources() {
        let named = named_modules(&code);
        assert!(
            !named.iter().any(|name| name.starts_with("local")),
            "{module}"
        );
    }
}
