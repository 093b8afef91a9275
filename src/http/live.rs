//! A response body that is not known in advance: the program sends pieces while the client reads.
//!
//! ```
//! use cook_http::live;
//! use cook_http::message::{Response, StatusCode};
//!
//! let (events, body) = live::channel(16);
//! let response = Response::new(StatusCode::Ok).with_stream("text/plain", body);
//! // Later, while the client is connected:
//! assert!(events.try_send(b"first\n".to_vec()).is_ok());
//! // The channel is closed when the client disconnects, or when the response is dropped unsent.
//! drop(response);
//! assert!(events.is_closed());
//! ```

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use smol::channel::{Receiver, Sender, bounded};
use smol::io::{AsyncBufRead, AsyncRead};
use smol::stream::Stream;

/// The half that becomes a response's body.
#[derive(Debug)]
pub struct Live(Receiver<Vec<u8>>);

/// Creates both halves of a body. At most `unsent` pieces wait to be sent: if the client is too slow,
/// `try_send` fails, and the program decides what to do. `Sender::closed` waits until the client has
/// disconnected. The body ends when all senders are dropped.
pub fn channel(unsent: usize) -> (Sender<Vec<u8>>, Live) {
    let (sender, receiver) = bounded(unsent.max(1));
    (sender, Live(receiver))
}

/// Reads the pieces as one stream of bytes.
pub(super) struct Pieces {
    receiver: Pin<Box<Receiver<Vec<u8>>>>,
    piece: Vec<u8>,
    used: usize,
}

// === impl Pieces ===

impl Pieces {
    pub(super) fn new(Live(receiver): Live) -> Self {
        Self {
            receiver: Box::pin(receiver),
            piece: Vec::new(),
            used: 0,
        }
    }
}

impl AsyncBufRead for Pieces {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.used == this.piece.len() {
            this.used = 0;
            this.piece = Vec::new();
            match ready!(this.receiver.as_mut().poll_next(cx)) {
                Some(piece) => this.piece = piece,
                None => break,
            }
        }
        Poll::Ready(Ok(&this.piece[this.used..]))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        this.used = (this.used + amount).min(this.piece.len());
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let piece = ready!(self.as_mut().poll_fill_buf(cx))?;
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.consume(length);
        Poll::Ready(Ok(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::block_on;
    use smol::io::AsyncReadExt;

    #[test]
    fn pieces_are_read_as_one_stream_which_ends_with_its_sender() {
        let (sender, live) = channel(4);
        for piece in ["ab", "", "cde"] {
            sender.try_send(piece.into()).expect("room");
        }
        drop(sender);
        let mut text = String::new();
        block_on(Pieces::new(live).read_to_string(&mut text)).expect("all in memory");
        assert_eq!(text, "abcde");
    }
}
