//! The layers of the executor: each folder is a layer, and uses only itself and the layers above it in
//! [`LAYERS`]. This is checked in the sources, so that a wrong import fails at once. Cargo checks the
//! dependencies between packages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from `words` down to the program. Each one is a folder of `src/executor`, or `main.rs`.
const LAYERS: [Layer; 6] = [
    Layer {
        name: "words",
        may_name: &[],
    },
    Layer {
        name: "core",
        may_name: &[],
    },
    Layer {
        name: "codec",
        may_name: &[
            "cook_http",
            "cook_mesos",
            "memchr",
            "prost",
            "regex_lite",
            "serde",
            "serde_json",
        ],
    },
    Layer {
        name: "world",
        may_name: &[
            "async_io",
            "async_process",
            "cook_signals",
            "nix",
            "rustix",
            "signal_hook",
            "smol",
            "tracing",
        ],
    },
    Layer {
        name: "shell",
        may_name: &[],
    },
    Layer {
        name: "main",
        may_name: &["cook_executor", "no_backtrace"],
    },
];

/// What `words` and `core` must not use: they get all input as arguments.
const WORLDLY: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "Instant",
    "SystemTime",
    ".await",
];

struct Layer {
    name: &'static str,
    /// Crates that this layer and all below it may use.
    may_name: &'static [&'static str],
}

/// A source file without comments and unit tests.
struct Source {
    /// `["core", "lifecycle"]` for `core/lifecycle/mod.rs`.
    module: Vec<String>,
    code: String,
}

fn layer_of(module: &[String]) -> Option<usize> {
    let name = module.first()?;
    LAYERS.iter().position(|layer| layer.name == name)
}

/// All sources of the executor, except `lib.rs`, which only declares the layers.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/executor");
    let mut paths = Vec::new();
    find_sources(&root, &mut paths);
    let relative = paths
        .iter()
        .map(|path| path.strip_prefix(&root).expect("below the root"));
    let is_test = |path: &Path| {
        path.iter()
            .any(|part| part == "tests" || part == "tests.rs")
    };
    let own = relative.filter(|path| *path != Path::new("lib.rs") && !is_test(path));
    own.map(|path| Source {
        module: module(path),
        code: code(&root.join(path)),
    })
    .collect()
}

fn find_sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            find_sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn module(path: &Path) -> Vec<String> {
    let path = path.with_extension("");
    let mut module: Vec<_> = path
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    module.pop_if(|last| last == "mod");
    module
}

fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("readable");
    // Unit tests in the same file are its last part.
    let own = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let lines = own
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Every path in `code` that begins with `start`, such as `crate`: its segments after the first.
fn paths_after<'a>(code: &'a str, start: &str) -> Vec<Vec<&'a str>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (index, _) in code.match_indices(&format!("{start}::")) {
        if code[..index].ends_with(|c| is_word(c) || c == ':') {
            continue;
        }
        let rest = &code[index + start.len() + 2..];
        let end = rest
            .find(|c: char| !is_word(c) && c != ':')
            .unwrap_or(rest.len());
        found.push(
            rest[..end]
                .split("::")
                .filter(|segment| !segment.is_empty())
                .collect(),
        );
    }
    found
}

/// The modules of the executor that a source uses, from the crate's root.
fn named_modules(source: &Source) -> Vec<Vec<String>> {
    let owned = |path: Vec<&str>| path.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let crate_paths = paths_after(&source.code, "crate").into_iter();
    let library_paths = paths_after(&source.code, "cook_executor").into_iter();
    let from_root = crate_paths.chain(library_paths).map(owned);
    let from_here = paths_after(&source.code, "super").into_iter().map(|path| {
        let ups = 1 + path
            .iter()
            .take_while(|segment| **segment == "super")
            .count();
        let mut module = source.module[..source.module.len().saturating_sub(ups)].to_vec();
        module.extend(path.into_iter().skip(ups - 1).map(str::to_owned));
        module
    });
    from_root.chain(from_here).collect()
}

#[test]
fn every_module_uses_only_its_own_layer_and_those_above_it() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        let Some(own) = layer_of(&source.module) else {
            wrong.insert(format!("{:?} is in no layer's folder", source.module));
            continue;
        };
        for named in named_modules(&source) {
            if layer_of(&named).is_none_or(|layer| layer > own) {
                wrong.insert(format!("{:?} uses {named:?}", source.module));
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

#[test]
fn every_layer_uses_only_its_own_crates_and_those_of_layers_above_it() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        let own = layer_of(&source.module).unwrap_or_default();
        for layer in &LAYERS[own + 1..] {
            let named = layer
                .may_name
                .iter()
                .filter(|name| !paths_after(&source.code, name).is_empty());
            wrong.extend(named.map(|name| format!("{:?} names the crate {name}", source.module)));
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

/// The names of variables are spelled out only in the table of the core. (The help text is prose.)
#[test]
fn no_variable_is_spelled_out_outside_the_table() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        if source.module == ["core", "variables"] || source.module == ["main"] {
            continue;
        }
        for start in ["\"EXECUTOR_", "\"MESOS_", "\"PROGRESS_", "\"LIBPROCESS_"] {
            let found = source.code.match_indices(start);
            let names = found.map(|(at, _)| source.code[at..].chars().take(40).collect::<String>());
            wrong.extend(names.map(|name| format!("{:?} has {name}", source.module)));
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

#[test]
fn words_and_core_use_neither_clocks_nor_files_nor_sockets() {
    let core = LAYERS
        .iter()
        .position(|layer| layer.name == "core")
        .expect("there is a core");
    let mut wrong = BTreeSet::new();
    for source in sources()
        .iter()
        .filter(|source| layer_of(&source.module).is_some_and(|own| own <= core))
    {
        let found = WORLDLY.iter().filter(|word| source.code.contains(**word));
        wrong.extend(found.map(|word| format!("{:?} has {word}", source.module)));
    }
    assert_eq!(wrong, BTreeSet::new());
}
