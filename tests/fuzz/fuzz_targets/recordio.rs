//! RecordIO: the decoded records do not depend on how the stream is split, and have the stream's bytes.
#![no_main]

use cook_mesos::recordio::{DecodeError, Decoder, MAX_RECORD, encode};
use libfuzzer_sys::fuzz_target;

/// All records, and the error after them, if any.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Option<DecodeError>) {
    let mut decoder = Decoder::default();
    let mut records = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break assert!(piece.is_empty(), "it waits with bytes at hand"),
                Err(error) => return (records, Some(error)),
            }
        }
    }
    (records, None)
}

fuzz_target!(|input: &[u8]| {
    let Some((&size, stream)) = input.split_first() else {
        return;
    };
    let whole = decode([stream].into_iter());
    assert_eq!(whole, decode(stream.chunks(usize::from(size).max(1))));
    let total: usize = whole.0.iter().map(Vec::len).sum();
    assert!(total <= stream.len() && total <= MAX_RECORD);
    let again: Vec<u8> = whole.0.iter().flat_map(|record| encode(record)).collect();
    assert_eq!(decode([again.as_slice()].into_iter()), (whole.0, None));
});
