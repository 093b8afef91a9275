//! The event stream: the response to SUBSCRIBE.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;

use cook_http::client::{Error, Outgoing};
use cook_mesos::recordio;
use smol::channel::Sender;
use smol::future::yield_now;

use super::STREAM_ID;
use super::connection::{connect, leader, on_thread, read_body, text};
use crate::backend::mesos::address::Address;
use crate::backend::mesos::framework::Input;
use crate::backend::mesos::session::{Attempt, MasterEvent, StreamId, SubscribeReply};
use crate::backend::mesos::wire;

/// The size from which a record is decoded on a thread.
const LARGE_RECORD: usize = 256 << 10;

/// Subscribes and reads records until the stream ends. The session limits the time.
pub async fn read(
    attempt: Attempt,
    master: &Address,
    request: &Outgoing,
    place: &Cell<Option<SocketAddr>>,
    inbox: &Sender<Input>,
) -> Result<(), Error> {
    let (mut connection, address) = connect(master).await?;
    place.set(Some(address));
    connection.send(request).await?;
    let (head, fields) = connection.receive_with_fields().await?;
    let stream_id = fields.one(STREAM_ID).map(|id| StreamId(id.to_owned()));
    let reply = match (head.status, stream_id) {
        (200, Some(stream_id)) => SubscribeReply::Accepted(stream_id),
        (200, None) => {
            SubscribeReply::Refused(200, "the response has no Mesos-Stream-Id".to_owned())
        }
        (307, _) => SubscribeReply::NotLeading(leader(&fields)),
        (503, _) => SubscribeReply::NotReady,
        (status, _) => {
            let said = text(read_body(&mut connection, &head).await);
            match status {
                401 | 403 => SubscribeReply::Unauthorized(status, said),
                _ => SubscribeReply::Refused(status, said),
            }
        }
    };
    let is_accepted = matches!(reply, SubscribeReply::Accepted(_));
    // The receiver exists as long as the program.
    let _ = inbox.send(Input::Replied(attempt, reply)).await;
    if !is_accepted {
        return Ok(());
    }
    let mut records = recordio::Decoder::default();
    let mut body = connection.body(&head);
    while let Some(mut data) = body.next().await? {
        while let Some(record) = records.next(&mut data).map_err(invalid)? {
            let event = decode(record).await?;
            let _ = inbox.send(Input::Received(attempt, event)).await;
        }
        // A fast master must not block other tasks.
        yield_now().await;
    }
    Ok(())
}

/// Decodes a record. A large one is decoded on a thread, since it takes too long for this one: a master of thousands of
/// agents offers them all at once.
async fn decode(record: Vec<u8>) -> io::Result<MasterEvent> {
    match record.len() > LARGE_RECORD {
        true => on_thread("event", move || wire::read(&record)).await,
        false => Ok(wire::read(&record)),
    }
}

fn invalid(error: recordio::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
