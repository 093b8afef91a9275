//! A file that is sent to a client in pieces; each is read when the previous one was sent.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use smol::channel::Receiver;
use smol::io::{AsyncBufRead, AsyncRead};
use smol::stream::Stream;

use super::worker::Worker;

/// The size of a piece in memory.
const PIECE: u64 = 64 << 10;

/// A file with a fixed length. If the file is truncated meanwhile, reading ends with an error, so that
/// the connection is cut and the client cannot mistake the part for a complete file.
pub struct Download {
    worker: Worker,
    file: Arc<File>,
    offset: u64,
    left: u64,
    piece: Vec<u8>,
    used: usize,
    next: Option<Pin<Box<PieceReceiver>>>,
}

/// A piece that is being read.
type PieceReceiver = Receiver<io::Result<Vec<u8>>>;

impl Download {
    /// Sends the first `length` bytes of a file.
    pub fn new(worker: Worker, file: File, length: u64) -> Self {
        Self {
            worker,
            file: Arc::new(file),
            offset: 0,
            left: length,
            piece: Vec::new(),
            used: 0,
            next: None,
        }
    }

    fn ask(&self) -> PieceReceiver {
        let (file, offset) = (Arc::clone(&self.file), self.offset);
        let length = usize::try_from(self.left.min(PIECE)).unwrap_or_default();
        self.worker.begin(move || {
            let mut piece = vec![0; length];
            let read = file.read_at(&mut piece, offset)?;
            piece.truncate(read);
            Ok(piece)
        })
    }
}

impl AsyncBufRead for Download {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.used == this.piece.len() && this.left > 0 {
            let next = match &mut this.next {
                Some(next) => next,
                None => {
                    let asked = Box::pin(this.ask());
                    this.next.insert(asked)
                }
            };
            let piece = ready!(next.as_mut().poll_next(cx));
            this.next = None;
            let piece = piece.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))?;
            if piece.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            this.offset += piece.len() as u64;
            this.left = this.left.saturating_sub(piece.len() as u64);
            this.piece = piece;
            this.used = 0;
        }
        Poll::Ready(Ok(&this.piece[this.used..]))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        this.used = (this.used + amount).min(this.piece.len());
    }
}

impl AsyncRead for Download {
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
    use smol::io::AsyncReadExt;
    use std::io::{Seek, Write};

    fn file(name: &str, size: usize) -> (File, Vec<u8>) {
        let path =
            std::env::temp_dir().join(format!("cook-download-{name}-{}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path);
        let file = file.as_mut().expect("a file");
        let _ = std::fs::remove_file(&path);
        let bytes: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        file.write_all(&bytes).expect("written");
        file.rewind().expect("rewound");
        (file.try_clone().expect("a descriptor"), bytes)
    }

    fn downloaded(file: File, length: u64) -> (io::Result<usize>, Vec<u8>) {
        let worker = Worker::start("test").expect("a thread");
        let mut got = Vec::new();
        let mut download = Download::new(worker, file, length);
        (smol::block_on(download.read_to_end(&mut got)), got)
    }

    #[test]
    fn a_file_is_sent_with_the_length_it_had_at_the_beginning() {
        let (file, bytes) = file("whole", 200_000);
        let (ended, got) = downloaded(file.try_clone().expect("a descriptor"), 200_000);
        assert!(ended.is_ok() && got == bytes);
        let (ended, got) = downloaded(file, 70_000);
        assert!(ended.is_ok() && got == bytes[..70_000]);
    }

    #[test]
    fn a_truncated_file_ends_with_an_error() {
        let (file, bytes) = file("short", 70_000);
        let (ended, got) = downloaded(file, 70_001);
        assert!(ended.is_err() && got == bytes);
    }
}
