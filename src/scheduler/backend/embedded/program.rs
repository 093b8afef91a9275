//! Finds the executor: the file of `--executor`, or the command of `:executor :command`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cook_agent::spec::Program;

use crate::codec::config::ExecutorSettings;

/// Characters that are special for a shell.
const SPECIAL: &str = "|&;<>()$`\\\"'*?[]#~=%!{}\n";

/// Finds the executor. If the first word of the command has no slash, it is looked up among the fetched
/// files, then beside this program, then in `PATH`.
///
/// # Errors
///
/// It was not found; the text is for the operator.
pub fn find(settings: &ExecutorSettings, file: Option<&Path>) -> Result<Program, String> {
    if let Some(file) = file {
        return match is_executable(file) {
            true => Ok(Program::Direct(vec![file.into()])),
            false => Err(format!(
                "--executor: {} is not an executable file",
                file.display()
            )),
        };
    }
    let command = settings.command.trim();
    let fetched: Vec<&str> = settings
        .uris
        .iter()
        .filter_map(|uri| uri.value.as_str().rsplit('/').next())
        .collect();
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = beside
        .map(Path::to_owned)
        .into_iter()
        .chain(std::env::split_paths(&path))
        .collect();
    resolve(command, &fetched, &folders)
}

fn resolve(command: &str, fetched: &[&str], folders: &[PathBuf]) -> Result<Program, String> {
    let (word, rest) = match command.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest),
        None => (command, ""),
    };
    if word.is_empty() {
        return Err(":executor :command is empty".to_owned());
    }
    // A word with special characters is left to the shell; it may be a variable, for example.
    let program: OsString = if word.contains('/') || word.contains(|c| SPECIAL.contains(c)) {
        word.into()
    } else if fetched.contains(&word) {
        format!("./{word}").into()
    } else {
        let places = folders.iter().map(|folder| folder.join(word));
        let found = places.into_iter().find(|file| is_executable(file));
        found
            .ok_or_else(|| {
                format!(
                    "there is no {word} beside this program or in PATH: build it with `make`, or set it with \
                     --executor FILE"
                )
            })?
            .into()
    };
    if command.contains(|c| SPECIAL.contains(c)) {
        let mut line = program;
        line.push(" ");
        line.push(rest);
        return Ok(Program::Shell(line));
    }
    let mut words = vec![program];
    words.extend(rest.split_whitespace().map(OsString::from));
    Ok(Program::Direct(words))
}

/// Whether the executor can be started now. This cannot be known of a program that a job's start fetches or
/// that a shell finds.
pub fn is_present(program: &Program) -> bool {
    match program {
        Program::Direct(words) => match words.first().map(Path::new) {
            Some(file) if file.is_absolute() => is_executable(file),
            Some(_) | None => true,
        },
        Program::Shell(_) => true,
    }
}

fn is_executable(file: &Path) -> bool {
    let metadata = fs::metadata(file);
    metadata.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_file_is_noticed_and_a_fetched_one_is_not_expected_yet() {
        let direct = |word: &str| Program::Direct(vec![word.into()]);
        assert!(is_present(&direct("/bin/sh")));
        assert!(!is_present(&direct("/bin/no-such-program")));
        assert!(!is_present(&direct("/etc/passwd")), "it is not executable");
        assert!(is_present(&direct("./fetched")));
        assert!(is_present(&Program::Shell("A=1 exec ./x".into())));
    }

    #[test]
    fn the_first_word_is_looked_up_unless_it_is_a_path() {
        let folders = [PathBuf::from("/nowhere"), PathBuf::from("/bin")];
        let direct = |words: &[&str]| {
            let words = words.iter().map(OsString::from);
            Ok(Program::Direct(words.collect()))
        };
        let resolve = |command| resolve(command, &["fetched"], &folders);
        assert_eq!(resolve("./a-1.0 b  c"), direct(&["./a-1.0", "b", "c"]));
        assert_eq!(resolve("fetched b"), direct(&["./fetched", "b"]));
        assert_eq!(resolve("sh"), direct(&["/bin/sh"]));
        let line = Program::Shell("./tunnel & exec ./fetched".into());
        assert_eq!(resolve("./tunnel & exec ./fetched"), Ok(line));
        let line = Program::Shell("A=1 exec ./x".into());
        assert_eq!(resolve("A=1 exec ./x"), Ok(line));
        let text = resolve("no-such-program").unwrap_err();
        assert!(text.contains("there is no no-such-program"), "{text}");
        assert!(resolve("").is_err());
    }
}
