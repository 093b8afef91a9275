//! The encoding of the Mesos v1 HTTP APIs: protobuf messages, RecordIO framing, and durations as text. The
//! crate is pure. It does not know what executors and schedulers do with the messages.
//!
//! | module | what it has |
//! |---|---|
//! | [`messages`] | the executor API: [`messages::Event`] from the agent, [`messages::Call`] to it, and the tasks in them |
//! | [`scheduler`] | the scheduler API: [`scheduler::Event`] from the master, [`scheduler::Call`] to it, offers, tasks |
//! | [`recordio`] | [`recordio::Decoder`] splits an event stream into records |
//! | [`duration`] | [`duration::parse_duration`] reads `5secs` |
//!
//! Decoding an event that arrives in two pieces:
//!
//! ```
//! use cook_mesos::messages::{Event, EventType};
//! use cook_mesos::recordio::{self, Decoder};
//! use prost::Message;
//!
//! let event = Event { kind: Some(EventType::Shutdown.into()), ..Event::default() };
//! let stream = recordio::encode(&event.encode_to_vec());
//! let (mut first, mut second) = stream.split_at(3);
//!
//! let mut decoder = Decoder::default();
//! assert_eq!(decoder.next(&mut first)?, None);
//! let record = decoder.next(&mut second)?.expect("the record is complete");
//! assert_eq!(Event::decode(&record[..])?.kind, Some(EventType::Shutdown.into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod duration;
pub mod messages;
pub mod recordio;
pub mod scheduler;
