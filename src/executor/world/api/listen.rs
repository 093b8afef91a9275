//! Where the task API listens. Another user of the host can occupy ports, but hardly all of them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use cook_http::server::Listener;

/// Maximum time for this search, because the task waits for it. After that it starts without an endpoint.
const TIME: Duration = Duration::from_millis(200);

/// How many other addresses of this host are tried. An attacker would have to occupy the ports of each of
/// them.
const ADDRESSES: u32 = 3;

/// Ports that the kernel usually does not assign (`net.ipv4.ip_local_port_range`), and that are below those
/// that Mesos agents offer.
const PORTS: RangeInclusive<u16> = 20_000..=30_999;

/// How many of these ports are tried.
const TRIES: u32 = 1_000;

/// Tries to listen at the preferred port, at any port of 127.0.0.1, at any port of some other addresses of
/// 127.0.0.0/8, and at some ports that the kernel does not assign.
pub(super) fn somewhere(
    preferred_port: Option<u16>,
    chance: u64,
) -> io::Result<(Listener, SocketAddr)> {
    let end = Instant::now() + TIME;
    let preferred = preferred_port.map(|port| (Ipv4Addr::LOCALHOST, port));
    if let Some((ip, port)) = preferred {
        match listen(ip, port) {
            Ok(listening) => return Ok(listening),
            Err(error) => {
                tracing::warn!(port, %error, "the preferred port of the task API is not free");
            }
        }
    }
    let mut chance = Chance(chance);
    let mut failure = match listen(Ipv4Addr::LOCALHOST, 0) {
        Ok(listening) => return Ok(listening),
        Err(error) => error,
    };
    tracing::warn!("no port of 127.0.0.1 is free for the task API, trying others: {failure}");
    for attempt in 0..ADDRESSES + TRIES {
        let (ip, port) = match attempt < ADDRESSES {
            true => (chance.address(), 0),
            false => (Ipv4Addr::LOCALHOST, chance.port()),
        };
        match listen(ip, port) {
            Ok(listening) => return Ok(listening),
            Err(error) => failure = error,
        }
        if Instant::now() > end {
            break;
        }
    }
    Err(failure)
}

fn listen(ip: Ipv4Addr, port: u16) -> io::Result<(Listener, SocketAddr)> {
    let listener = Listener::tcp((ip, port).into())?;
    let address = listener.address();
    let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((listener, address))
}

/// Numbers that others cannot predict, from a random seed (splitmix64).
struct Chance(u64);

// === impl Chance ===

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An address of 127.0.0.0/8, except 127.0.0.1, which everybody uses, and broadcast addresses.
    fn address(&mut self) -> Ipv4Addr {
        let [a, b, c, ..] = self.next().to_le_bytes();
        Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254))
    }

    fn port(&mut self) -> u16 {
        let count = u64::from(PORTS.end() - PORTS.start()) + 1;
        let offset = self.next() % count;
        // Less than 11,000.
        PORTS.start() + offset as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_port_is_taken_if_it_is_free() {
        let (first, address) = somewhere(None, 1).expect("a port");
        assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
        let (_second, other) = somewhere(Some(address.port()), 1).expect("another port");
        assert_ne!(other.port(), address.port());
        drop(first);
        let (_third, again) = somewhere(Some(address.port()), 1).expect("free again");
        assert_eq!(again, address);
    }

    #[test]
    fn other_addresses_and_ports_are_in_their_ranges() {
        let mut chance = Chance(7);
        for _ in 0..1000 {
            let ip = chance.address();
            assert!(ip.is_loopback() && ip != Ipv4Addr::LOCALHOST, "{ip}");
            assert!(PORTS.contains(&chance.port()));
        }
    }
}
