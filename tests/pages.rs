//! Checks the pages against the code: the names, links, tests and targets that they mention exist. They are
//! read as sources, so that a change of the code that makes a page wrong fails at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cook_executor::codec::tracking::pattern::Pattern;
use cook_executor::core::variables::{self, Class};

/// The headings in `environment.md`, with the class of the variables below each.
const HEADINGS: [(&str, Class); 8] = [
    ("Settings", Class::Setting),
    ("Progress file", Class::ProgressFile),
    ("Hooks", Class::Hooks),
    ("Set for commands", Class::ForCommands),
    ("Set by the agent", Class::Agents),
    ("Secret", Class::Secret),
    ("Proxies", Class::Proxy),
    ("No proxy", Class::NoProxy),
];

/// Maximum number of lines of an introduction.
const README_LIMIT: usize = 200;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All pages, by their paths from the top.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![
        PathBuf::from("README.md"),
        PathBuf::from("tests/mesos/README.md"),
        PathBuf::from("tests/bench/README.md"),
    ];
    let folder = PathBuf::from("packaging/docs");
    for entry in fs::read_dir(root().join(&folder)).expect("there are pages") {
        pages.push(folder.join(entry.expect("readable").file_name()));
    }
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

/// The lines of a page outside of code blocks.
fn prose(text: &str) -> String {
    let mut in_code = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// The texts in backticks.
fn quoted(prose: &str) -> impl Iterator<Item = &str> {
    prose.split('`').skip(1).step_by(2)
}

/// The anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

#[test]
fn the_environment_page_has_the_variables_of_the_code() {
    let page = read(&root().join("packaging/docs/environment.md"));
    let mut written: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut heading = "";
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            heading = name;
        } else if let Some((name, _)) = line.strip_prefix("| `").and_then(|l| l.split_once('`')) {
            let is_new = written.entry(heading).or_default().insert(name);
            assert!(is_new, "{name} is there twice");
        }
    }
    let coded: BTreeMap<&str, BTreeSet<&str>> = HEADINGS
        .iter()
        .map(|(heading, class)| (*heading, variables::names(*class).collect()))
        .collect();
    assert_eq!(written, coded);
    let names = coded.values().map(BTreeSet::len).sum::<usize>();
    assert_eq!(names, variables::TABLE.len(), "a class has no heading");
}

/// Lines of the executor's own pattern and of Cook's default pattern.
#[test]
fn the_pattern_for_operators_reads_the_lines_for_job_authors() {
    let page = read(&root().join("packaging/docs/operators.md"));
    let (_, rest) = page
        .split_once(":default-progress-regex-string \"")
        .expect("the example has it");
    let (quoted, _) = rest.split_once('"').expect("a string");
    let configured = Pattern::new(&quoted.replace(r"\\", r"\")).expect("a pattern");
    let page = read(&root().join("packaging/docs/job-authors.md"));
    for line in ["progress: 50, halfway", "progress: 50 halfway"] {
        assert!(page.contains(line), "{line:?} is not in job-authors.md");
        let reading = configured.read(line.as_bytes()).expect("it matches");
        assert_eq!(reading.message.as_deref(), Some("halfway"));
    }
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut wrong = BTreeSet::new();
    for page in pages() {
        let text = prose(&read(&root().join(&page)));
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
        {
            let target = target.0;
            if target.starts_with("http") {
                continue;
            }
            let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
            let file = match file.is_empty() {
                true => root().join(&page),
                false => root().join(&page).parent().expect("in a folder").join(file),
            };
            let is_there = match wanted.is_empty() {
                true => file.exists(),
                false => file.is_file() && anchors(&read(&file)).contains(wanted),
            };
            if !is_there {
                wrong.insert(format!("{}: {target}", page.display()));
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

/// Paths start at the top, in the page's own folder, or in the package that the page is about.
#[test]
fn every_path_that_a_page_names_exists() {
    let packages = ["src/executor", "src/scheduler", "src/agent"];
    let mut wrong = BTreeSet::new();
    for page in pages()
        .iter()
        .filter(|page| !page.ends_with("CHANGELOG.md"))
    {
        let page_folder = page.parent().expect("in a folder");
        let folders = packages.iter().map(Path::new);
        let folders: Vec<_> = folders.chain([Path::new(""), page_folder]).collect();
        let text = prose(&read(&root().join(page)));
        for quoted in quoted(&text) {
            let path = quoted.split(':').next().unwrap_or_default();
            let from_the_top = ["src/", "tests/", "packaging/"];
            let is_path = from_the_top.iter().any(|start| path.starts_with(start))
                || path.contains('/') && path.ends_with(".rs");
            let is_there = || {
                let mut places = folders.iter().map(|folder| root().join(folder).join(path));
                places.any(|place| place.exists())
            };
            if is_path && !path.contains(' ') && !is_there() {
                wrong.insert(format!("{}: {quoted}", page.display()));
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

/// `FILE: function` in the table of promises, optionally followed by further functions of the same file.
#[test]
fn every_test_named_for_a_promise_exists() {
    let page = read(&root().join("packaging/docs/security.md"));
    let mut found = 0;
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let mut file = String::new();
        let held_by = line.rsplit(" | ").next().unwrap_or_default();
        for quoted in quoted(held_by) {
            let function = match quoted.split_once(": ") {
                Some((path, function)) => {
                    file = read(&root().join(path));
                    function
                }
                None if quoted.starts_with("tests/") => continue,
                None if quoted == "make torture" => {
                    let folder = root().join("tests/torture");
                    file = ["floods.rs", "guesses.rs", "tasks.rs"]
                        .map(|name| read(&folder.join(name)))
                        .concat();
                    continue;
                }
                None if quoted == "make test-mesos" => {
                    file = read(&root().join("tests/mesos/scenarios/agents.py"));
                    continue;
                }
                None => quoted,
            };
            if !function.contains('_') || file.is_empty() {
                continue;
            }
            let heads = [format!("fn {function}("), format!("def {function}(")];
            let is_there = heads.iter().any(|head| file.contains(head));
            assert!(is_there, "there is no test {function}");
            found += 1;
        }
    }
    assert!(found > 20, "found {found} tests");
}

#[test]
fn every_make_target_that_a_page_names_exists() {
    let makefile = read(&root().join("Makefile"));
    let mut wrong = BTreeSet::new();
    for page in pages()
        .iter()
        .filter(|page| !page.ends_with("CHANGELOG.md"))
    {
        let text = read(&root().join(page));
        let in_blocks = text
            .lines()
            .filter_map(|line| line.strip_prefix("    make "));
        let in_text = quoted(&text).filter_map(|quoted| quoted.strip_prefix("make "));
        for command in in_blocks.chain(in_text) {
            let target = command.split_whitespace().next().unwrap_or_default();
            if !makefile.contains(&format!("\n{target}:")) {
                wrong.insert(format!("{}: make {target}", page.display()));
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

#[test]
fn the_readme_is_an_introduction() {
    let lines = read(&root().join("README.md")).lines().count();
    assert!(lines <= README_LIMIT, "{lines} lines");
}
