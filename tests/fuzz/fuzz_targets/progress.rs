//! Progress in a task's output; the first line of the input is a regular expression, the second says how the
//! rest is split. However it is split, the result is that of a simple parser of whole lines.
#![no_main]

use std::borrow::Cow;

use cook_executor::codec::tracking::escapes::Escapes;
use cook_executor::codec::tracking::lines::Lines;
use cook_executor::codec::tracking::pattern::Pattern;
use cook_executor::codec::tracking::pattern::percent;
use libfuzzer_sys::fuzz_target;

/// Lines up to this length must be read completely.
const LIMIT: usize = 64;

fn is_end(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (expression, lengths, text) = (part(), part(), part());
    let Ok(expression) = std::str::from_utf8(expression) else {
        return;
    };
    if let Ok(rough) = expression.parse::<f64>()
        && let Some(percent) = percent(expression)
    {
        assert!((percent.get() - rough).abs() < 1e-9, "{expression}");
    }
    // With flags, the expression has no literal prefix and is matched against every line.
    let patterns = (
        Pattern::new(expression),
        Pattern::new(&format!("(?-i){expression}")),
    );
    let (Ok(quick), Ok(slow)) = patterns else {
        return;
    };
    let mut lines = Lines::new(LIMIT);
    let mut newest = None;
    let mut rest = text;
    for length in lengths.iter().cycle().take(text.len()) {
        let (piece, behind) = rest.split_at(rest.len().min(usize::from(*length)));
        newest = lines.take(&quick, piece).or(newest);
        rest = behind;
    }
    newest = lines.take(&quick, rest).or(newest);
    newest = lines.end(&quick).or(newest);
    // Escape sequences and backspaces end lines too. They are removed from the whole text at once.
    let whole = match slow.reads_escapes() {
        true => Cow::Borrowed(text),
        false => Escapes::default().strip(text),
    };
    if whole.split(is_end).all(|line| line.len() <= LIMIT) {
        let mut backwards = whole.rsplit(is_end);
        assert_eq!(newest, backwards.find_map(|line| slow.read(line)));
    }
});
