//! An offer as room on an agent.

use std::sync::Arc;

use cook_mesos::messages::Id;
use cook_mesos::scheduler as pb;

use super::pool::Pool;
use crate::core::face;
use crate::core::job::{Agent, Place};

/// An offer that nobody has answered.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenOffer {
    /// Its name.
    pub id: Id,
    /// The agent.
    pub agent: Id,
    /// What is left of it.
    pub pool: Pool,
}

/// Where clients look for an agent that does not say where it listens: Mesos' default, and theirs.
const AGENT_PORT: i32 = 5051;

/// What the core is told of an offer, and what is kept until it has answered.
pub fn open(offer: pb::Offer) -> (face::Offer, OpenOffer) {
    let hostname = String::from_utf8_lossy(&offer.hostname).into_owned();
    let port = offer.url.as_ref().map(|url| url.address.port);
    let files_at = match (hostname.contains(':'), port.unwrap_or(AGENT_PORT)) {
        (true, port) => format!("[{hostname}]:{port}"),
        (false, port) => format!("{hostname}:{port}"),
    };
    let pool = Pool::new(offer.resources, offer.allocation_info.as_ref());
    let shown = face::Offer {
        id: face::OfferId(offer.id.value.as_str().into()),
        place: Arc::new(Place {
            agent: Agent(offer.agent_id.value.as_str().into()),
            hostname: hostname.into(),
            files_at: Some(files_at.into()),
        }),
        room: pool.room(),
        ports: pool.ports(),
        attributes: offer.attributes.iter().flat_map(attribute).collect(),
        // An offer has what is free, and nothing of what is not.
        capacity: None,
    };
    let open = OpenOffer {
        id: offer.id,
        agent: offer.agent_id,
        pool,
    };
    (shown, open)
}

/// An attribute as text to compare with: `3`, `1.5`, `rack-1`. Of several ranges (`1-5`) or members of a set, each is a
/// value: a constraint holds if one of them is the wanted one.
fn attribute(it: &pb::Attribute) -> Vec<(Box<str>, Box<str>)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let values = match (&it.text, &it.scalar, &it.set, &it.ranges) {
        (Some(value), ..) => vec![text(&value.value)],
        (None, Some(scalar), ..) => vec![scalar.value.to_string()],
        (None, None, Some(set), _) => set.item.iter().map(|item| text(item)).collect(),
        (None, None, None, Some(ranges)) => {
            let shown = |range: &pb::Range| format!("{}-{}", range.begin, range.end);
            ranges.range.iter().map(shown).collect()
        }
        (None, None, None, None) => Vec::new(),
    };
    let name = text(&it.name);
    let pair = |value: String| (name.as_str().into(), value.into());
    values.into_iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pb::{Address, Attribute, Offer, Range, Ranges, Scalar, Set, Text, Url};

    fn id(value: &str) -> Id {
        Id {
            value: value.to_owned(),
        }
    }

    #[test]
    fn an_offer_says_where_its_agent_serves_files() {
        let offer = |hostname: &str, port: Option<i32>| {
            let offer = Offer {
                id: id("O"),
                agent_id: id("A"),
                hostname: hostname.into(),
                url: port.map(|port| Url {
                    scheme: b"http".to_vec(),
                    address: Address {
                        port,
                        ..Address::default()
                    },
                    path: None,
                }),
                ..Offer::default()
            };
            let (shown, open) = open(offer);
            assert_eq!(
                (open.agent.value.as_str(), open.id.value.as_str()),
                ("A", "O")
            );
            assert_eq!(shown.place.agent, Agent("A".into()));
            shown.place.files_at.clone().expect("a place").into_string()
        };
        assert_eq!(offer("host1", Some(5055)), "host1:5055");
        assert_eq!(offer("host1", None), "host1:5051");
        assert_eq!(offer("::1", Some(1)), "[::1]:1");
    }

    #[test]
    fn attributes_of_every_kind_are_texts() {
        let named = |name: &str| Attribute {
            name: name.into(),
            ..Attribute::default()
        };
        let attributes = vec![
            Attribute {
                text: Some(Text {
                    value: b"r\xff1".to_vec(),
                }),
                ..named("rack")
            },
            Attribute {
                scalar: Some(Scalar { value: 3.0 }),
                ..named("level")
            },
            Attribute {
                scalar: Some(Scalar { value: 1.5 }),
                ..named("weight")
            },
            Attribute {
                set: Some(Set {
                    item: vec![b"ssd".to_vec(), b"hdd".to_vec()],
                }),
                ..named("disks")
            },
            Attribute {
                ranges: Some(Ranges {
                    range: vec![Range { begin: 1, end: 5 }],
                }),
                ..named("zones")
            },
            named("nothing"),
        ];
        let (shown, _) = open(Offer {
            attributes,
            ..Offer::default()
        });
        let shown: Vec<String> = shown
            .attributes
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            shown,
            [
                "rack=r\u{fffd}1",
                "level=3",
                "weight=1.5",
                "disks=ssd",
                "disks=hdd",
                "zones=1-5"
            ]
        );
    }
}
