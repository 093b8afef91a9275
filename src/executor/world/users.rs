//! Users by name.

use rustix::process::geteuid;

use super::process::proc;

/// Whether this process runs as the user of this name. `None` if neither this name nor the process's own user is in
/// `/etc/passwd`: a directory service may know both.
pub fn is_own(name: &[u8]) -> Option<bool> {
    is_user(&proc::read("/etc/passwd").ok()?, name, geteuid().as_raw())
}

/// Whether the user of this name has this id, by a text of the form of `/etc/passwd`. A user who is not in it is not one
/// who is.
fn is_user(passwd: &[u8], name: &[u8], id: u32) -> Option<bool> {
    match users(passwd).find(|(known, _)| *known == name) {
        Some((_, uid)) => Some(uid == id),
        None => users(passwd).any(|(_, uid)| uid == id).then_some(false),
    }
}

/// The names and ids in a text whose lines are `name:password:uid:...`.
fn users(passwd: &[u8]) -> impl Iterator<Item = (&[u8], u32)> {
    let lines = passwd.split(|byte| *byte == b'\n');
    lines.filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?;
        let uid = std::str::from_utf8(fields.nth(1)?).ok()?;
        Some((name, uid.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\n\n#a\nrooty:x:7:7::/:\nbad:x\nworse:x:-1:\nlast:x:4294967295";
        for (name, id, wanted) in [
            ("root", 0, Some(true)),
            ("rooty", 7, Some(true)),
            ("rooty", 0, Some(false)),
            ("last", u32::MAX, Some(true)),
            // Who has the id 0 is known.
            ("roo", 0, Some(false)),
            ("bad", 7, Some(false)),
            ("", 0, Some(false)),
            // A directory service may know the name and the id.
            ("roo", 8, None),
            ("x", 8, None),
            ("worse", 8, None),
        ] {
            assert_eq!(is_user(passwd, name.as_bytes(), id), wanted, "{name} {id}");
        }
    }
}
