//! The event stream of one subscription: records in chunks on a connection.

use std::io;

use crate::connection::Connection;
use crate::http;
use crate::script::Splitting;
use cook_mesos::recordio;

/// The agent's end of the stream.
#[derive(Debug)]
pub struct EventStream {
    connection: Connection,
    /// Number of the subscription, so that the end of an old stream is not mistaken for the end of a new
    /// one.
    pub generation: u64,
}

// === impl EventStream ===

impl EventStream {
    /// Responds to SUBSCRIBE on its connection.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub fn open(connection: Connection, generation: u64) -> io::Result<Self> {
        Self::open_with(connection, http::STREAM_HEAD, generation)
    }

    /// The same with another head of the reply, which must announce a chunked body.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub fn open_with(connection: Connection, head: &[u8], generation: u64) -> io::Result<Self> {
        connection.send(head)?;
        Ok(Self {
            connection,
            generation,
        })
    }

    /// Sends one record.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub fn send(&self, record: &[u8], splitting: Splitting) -> io::Result<()> {
        let framed = recordio::encode(record);
        match splitting {
            Splitting::Whole => self.send_chunk(&framed),
            Splitting::Bytes => framed.chunks(1).try_for_each(|byte| self.send_chunk(byte)),
        }
    }

    /// Sends any bytes as one chunk.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub fn send_chunk(&self, bytes: &[u8]) -> io::Result<()> {
        self.connection.send(&http::chunk(bytes))
    }

    /// Whether the executor has its end open.
    pub fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Ends the response and the connection in an orderly way.
    pub fn finish(self) {
        // The executor may be gone.
        let _ = self.connection.send(http::LAST_CHUNK);
        self.connection.close();
    }

    /// Ends the connection without ending the response.
    pub fn cut(self) {
        self.connection.close();
    }

    /// Resets the connection.
    pub fn reset(self) {
        self.connection.reset();
    }
}
