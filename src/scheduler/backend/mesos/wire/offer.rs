//! Translates offers.

use std::sync::Arc;

use cook_mesos::messages::Id;
use cook_mesos::scheduler as pb;

use super::pool::Pool;
use crate::core::backend;
use crate::core::job::{Agent, Place};

/// An offer that is neither accepted nor declined.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenOffer {
    /// The offer's id.
    pub id: Id,
    /// The agent.
    pub agent: Id,
    /// Its unused resources.
    pub pool: Pool,
}

/// The port of an agent whose offer has no URL: the default of Mesos and of Cook's clients.
const AGENT_PORT: i32 = 5051;

/// Splits an offer into the core's view of it, and the part that is needed to accept or decline it.
pub fn open(offer: pb::Offer) -> (backend::Offer, OpenOffer) {
    let hostname = String::from_utf8_lossy(&offer.hostname).into_owned();
    let port = offer.url.as_ref().map(|url| url.address.port);
    let files_at = match (hostname.contains(':'), port.unwrap_or(AGENT_PORT)) {
        (true, port) => format!("[{hostname}]:{port}"),
        (false, port) => format!("{hostname}:{port}"),
    };
    let pool = Pool::new(offer.resources, offer.allocation_info.as_ref());
    let shown = backend::Offer {
        id: backend::OfferId(offer.id.value.as_str().into()),
        place: Arc::new(Place {
            agent: Agent(offer.agent_id.value.as_str().into()),
            hostname: hostname.into(),
            files_at: Some(files_at.into()),
        }),
        resources: pool.room(),
        ports: pool.ports(),
        attributes: offer.attributes.iter().flat_map(attribute).collect(),
        // An offer only has the agent's unused resources.
        capacity: None,
        most_tasks: None,
    };
    let open = OpenOffer {
        id: offer.id,
        agent: offer.agent_id,
        pool,
    };
    (shown, open)
}

/// An attribute as text: `3`, `1.5`, `rack-1`. Each range (`1-5`) and each item of a set becomes a pair of its own: a
/// constraint holds if one of them is equal.
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
    fn the_address_of_the_agents_files_is_known() {
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
    fn attributes_of_every_type_become_text() {
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
