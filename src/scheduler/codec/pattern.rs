//! Regular expressions for progress, checked as the executor reads them.
//!
//! An executor ignores an invalid expression, and only its log says so. Here it is an error that its author sees.

use std::fmt;

use regex_lite::RegexBuilder;

/// Maximum size of a compiled expression in bytes, the same as in the executor.
const SIZE_LIMIT: usize = 64 << 10;

/// Why an expression is invalid, in the words of the regex-lite crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError(String);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "must be a regular expression without look-around and back-references: {}",
            self.0
        )
    }
}

impl std::error::Error for PatternError {}

/// Checks that an executor can use this expression.
///
/// # Errors
///
/// The expression is malformed, unsupported or too large.
pub fn check(expression: &str) -> Result<(), PatternError> {
    let built = RegexBuilder::new(expression).size_limit(SIZE_LIMIT).build();
    match built {
        Ok(_) => Ok(()),
        Err(error) => Err(PatternError(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_that_an_executor_would_ignore_are_refused() {
        for wrong in [
            "(",
            "a{2,1}",
            r"(?<=x)\d+",
            r"(a)\1",
            "((a{1000}){1000}){1000}",
        ] {
            let text = check(wrong).expect_err(wrong).to_string();
            assert!(
                text.starts_with("must be a regular expression without"),
                "{text}"
            );
        }
        for good in [r"progress: ([0-9]*\.?[0-9]+), (.*)", r"\d+", "a b", ""] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }
}
