//! Reading from sockets without a buffer that waits.

use std::io::{self, Read};

use async_io::Async;

/// How much is read at once; a request, an answer and an event hardly ever have more.
const READ_SIZE: usize = 4 << 10;

/// Appends what there is to `buffer`, and waits while there is nothing. 0 is the end.
///
/// # Errors
///
/// The connection is broken.
pub async fn read_some<T>(stream: &Async<T>, buffer: &mut Vec<u8>) -> io::Result<usize>
where
    for<'a> &'a T: Read,
{
    // Nothing is held meanwhile: a buffer would be a page for each connection.
    let read = stream.read_with(|mut stream| {
        let mut chunk = [0; READ_SIZE];
        let length = stream.read(&mut chunk)?;
        buffer.extend_from_slice(&chunk[..length]);
        Ok(length)
    });
    read.await
}
