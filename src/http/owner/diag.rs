//! Finds one socket of this network namespace by its addresses (sock_diag(7)). It takes two system calls
//! and one look-up in the kernel's hash table, no matter how many sockets there are.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

/// A netlink socket.
#[derive(Debug)]
pub(super) struct Diag {
    socket: OwnedFd,
    /// Number of the last request. The kernel repeats it in its answer, so that the late answer to an
    /// earlier request is not taken for the answer to this one.
    sequence: Cell<u32>,
}

/// A socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) state: State,
    /// The owner; `None` if no process holds the socket any more, which the kernel reports as user 0.
    pub(super) user: Option<u32>,
}

/// The states of a TCP socket that matter here (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Established,
    FinWait1,
    FinWait2,
    Listen,
    Other,
}

/// `SOCK_DIAG_BY_FAMILY`, and the flag of a request.
const BY_FAMILY: u16 = 20;
const REQUEST_FLAG: u16 = 1;
const ERROR: u16 = 2;
const FAMILY_INET: u8 = 2;
const FAMILY_INET6: u8 = 10;
const PROTOCOL_TCP: u8 = 6;

/// The request: a netlink header of 16 bytes and `struct inet_diag_req_v2` of 56.
const REQUEST_SIZE: usize = 16 + 56;

/// Offsets in the answer. After its header, `struct inet_diag_msg` has the state at 1, the ports at 4, the
/// user at 64 and the inode at 68. An error has its number directly after the header.
const ANSWER_ERROR: usize = 16;
const ANSWER_STATE: usize = 16 + 1;
const ANSWER_PORTS: usize = 16 + 4;
const ANSWER_USER: usize = 16 + 64;
const ANSWER_INODE: usize = 16 + 68;

/// Maximum number of old answers to skip; they belong to requests that failed halfway.
const MAX_STALE: usize = 4;

// === impl Diag ===

impl Diag {
    pub(super) fn open() -> io::Result<Self> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::SOCK_DIAG),
        )?;
        let sequence = Cell::new(0);
        Ok(Self { socket, sequence })
    }

    /// The socket at `local` that is connected to `remote`. If there is none, or `remote` is `None`: the
    /// socket that listens at `local`, if any.
    pub(super) fn find(
        &self,
        local: SocketAddr,
        remote: Option<SocketAddr>,
    ) -> io::Result<Option<Found>> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let question = question(local, remote, sequence);
        send(&self.socket, &question, SendFlags::empty())?;
        for _ in 0..=MAX_STALE {
            let mut answer = [0; 512];
            // The kernel has already put the answer in the queue before `send` returns.
            let (length, _) = recv(&self.socket, &mut answer, RecvFlags::empty())?;
            if answer[8..12] == sequence.to_ne_bytes() {
                return read(&answer[..length], &question[24..28]);
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }
}

fn question(local: SocketAddr, remote: Option<SocketAddr>, sequence: u32) -> [u8; REQUEST_SIZE] {
    let mut request = [0; REQUEST_SIZE];
    let mut put = |at: usize, bytes: &[u8]| request[at..at + bytes.len()].copy_from_slice(bytes);
    let family = match local {
        SocketAddr::V4(_) => FAMILY_INET,
        SocketAddr::V6(_) => FAMILY_INET6,
    };
    put(0, &(REQUEST_SIZE as u32).to_ne_bytes());
    put(4, &BY_FAMILY.to_ne_bytes());
    put(6, &REQUEST_FLAG.to_ne_bytes());
    put(8, &sequence.to_ne_bytes());
    put(16, &[family, PROTOCOL_TCP]);
    // All states: for a single socket the kernel ignores this, and the caller checks the state.
    put(20, &u32::MAX.to_ne_bytes());
    let ends = [(24, 28, Some(local)), (26, 44, remote)];
    for (port_at, address_at, end) in ends {
        let Some(end) = end else { continue };
        put(port_at, &end.port().to_be_bytes());
        match end.ip() {
            IpAddr::V4(ip) => put(address_at, &ip.octets()),
            IpAddr::V6(ip) => put(address_at, &ip.octets()),
        }
    }
    // No cookie: two words of ones.
    put(64, &[0xff; 8]);
    request
}

/// Reads an answer; `ports` are those of the request.
fn read(answer: &[u8], ports: &[u8]) -> io::Result<Option<Found>> {
    let word = |at: usize| {
        let bytes = answer.get(at..at + 4)?;
        bytes.try_into().ok().map(u32::from_ne_bytes)
    };
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let kind = answer.get(4..6).ok_or_else(invalid)?;
    if kind == ERROR.to_ne_bytes() {
        let number = word(ANSWER_ERROR).ok_or_else(invalid)?.cast_signed();
        let error = Errno::from_raw_os_error(number.saturating_neg());
        return match error == Errno::NOENT {
            true => Ok(None),
            false => Err(error.into()),
        };
    }
    let (Some(&state), Some(found), Some(user), Some(inode)) = (
        answer.get(ANSWER_STATE),
        answer.get(ANSWER_PORTS..ANSWER_PORTS + 4),
        word(ANSWER_USER),
        word(ANSWER_INODE),
    ) else {
        return Err(invalid());
    };
    if kind != BY_FAMILY.to_ne_bytes() {
        return Err(invalid());
    }
    let state = match state {
        1 => State::Established,
        4 => State::FinWait1,
        5 => State::FinWait2,
        10 => State::Listen,
        _ => State::Other,
    };
    // A listener has no remote port.
    let is_it = found == ports || state == State::Listen && found[..2] == ports[..2];
    let user = (inode != 0).then_some(user);
    Ok(is_it.then_some(Found { state, user }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: [u8; 4] = [0x12, 0x34, 0, 80];

    fn answer(kind: u16, state: u8, user: u32, inode: u32) -> [u8; 16 + 72] {
        let mut answer = [0; 16 + 72];
        answer[4..6].copy_from_slice(&kind.to_ne_bytes());
        answer[ANSWER_STATE] = state;
        answer[ANSWER_PORTS..ANSWER_PORTS + 4].copy_from_slice(&PORTS);
        answer[ANSWER_USER..ANSWER_USER + 4].copy_from_slice(&user.to_ne_bytes());
        answer[ANSWER_INODE..].copy_from_slice(&inode.to_ne_bytes());
        answer
    }

    #[test]
    fn a_socket_without_an_inode_has_no_owner() {
        let found = |state, user, inode| read(&answer(BY_FAMILY, state, user, inode), &PORTS);
        let wanted = |state, user| Some(Found { state, user });
        assert_eq!(
            found(1, 7, 9).ok(),
            Some(wanted(State::Established, Some(7)))
        );
        assert_eq!(found(5, 0, 0).ok(), Some(wanted(State::FinWait2, None)));
        assert_eq!(found(6, 0, 0).ok(), Some(wanted(State::Other, None)));
    }

    #[test]
    fn an_answer_about_another_socket_is_ignored() {
        let about = answer(BY_FAMILY, 1, 0, 1);
        assert_eq!(read(&about, &[0x12, 0x35, 0, 80]).ok(), Some(None));
        assert!(read(&about[..40], &PORTS).is_err());
        assert!(read(&answer(3, 1, 0, 1), &PORTS).is_err());
        let mut error = answer(ERROR, 0, 0, 0);
        error[16..20].copy_from_slice(&(-2_i32).to_ne_bytes());
        assert_eq!(read(&error, &PORTS).ok(), Some(None), "there is none");
        error[16..20].copy_from_slice(&(-1_i32).to_ne_bytes());
        assert!(read(&error, &PORTS).is_err(), "asking is not allowed");
    }
}
