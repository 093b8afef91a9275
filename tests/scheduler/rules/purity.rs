//! The core uses no clock, file or network, and the store depends only on the core. These tests search
//! the sources for forbidden names.

use std::fs;
use std::path::{Path, PathBuf};

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

/// Checks that no file in the folder contains one of these names, except in comments and unit tests.
fn names_none(folder: &str, forbidden: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    assert!(paths.len() > 5, "the sources of {folder} are there");
    for path in paths {
        let text = fs::read_to_string(&path).expect("readable");
        let own = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in own
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            for name in forbidden {
                assert!(
                    !line.contains(name),
                    "{} names {name}: {line}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn the_core_has_no_input_or_output() {
    names_none(
        "core",
        &[
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "std::thread",
            "std::io",
            "Instant",
            "SystemTime",
            ".await",
            "rustix",
            "redb",
            "prost",
            "serde",
            "smol",
            "crate::store",
            "crate::codec",
            "crate::api",
            "crate::backend",
            "crate::shell",
            "HashMap",
            "RandomState",
        ],
    );
}

#[test]
fn the_store_depends_only_on_the_core() {
    names_none(
        "store",
        &[
            "crate::codec",
            "crate::api",
            "crate::backend",
            "crate::shell",
            "smol",
        ],
    );
}

#[test]
fn matches_in_the_core_name_every_variant() {
    // So a new state, event or effect must be considered wherever it can occur.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/scheduler");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    for path in paths {
        let text = fs::read_to_string(&path).expect("readable");
        let catch_all = text
            .lines()
            .find(|line| line.trim_start().starts_with("_ =>"));
        assert_eq!(catch_all, None, "{}", path.display());
    }
}
