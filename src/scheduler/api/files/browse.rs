//! Lists a folder in the format of a Mesos agent.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Stat, statat};
use serde::Serialize;

use super::open::readable;

/// Maximum number of entries in a list, because a job can create any number.
const MAX_ENTRIES: usize = 10_000;

/// One entry of a folder.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    path: String,
    nlink: u64,
    size: u64,
    mtime: f64,
    mode: String,
    uid: String,
    gid: String,
}

/// The entries of a folder, ordered by name. `path` is the path in the request.
pub(super) fn entries(folder: &OwnedFd, path: &str) -> io::Result<Vec<Entry>> {
    let path = path.trim_end_matches('/');
    let names = Names::read();
    let mut entries = Vec::new();
    for entry in Dir::read_from(readable(folder)?)?.take(MAX_ENTRIES) {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        // The entry may have been removed meanwhile.
        let Ok(stat) = statat(folder.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let name = name.to_string_lossy();
        entries.push(Entry {
            path: format!("{path}/{name}"),
            // Clients recognise a folder by a link count above one.
            nlink: match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => folder_links(stat.st_nlink),
                _ => 1,
            },
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            mtime: stat.st_mtime as f64,
            mode: mode(&stat),
            uid: names.user(stat.st_uid),
            gid: names.group(stat.st_gid),
        });
    }
    entries.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(entries)
}

/// At least 2, whatever the file system reports. The type of the count depends on the architecture.
fn folder_links(links: impl Into<u64>) -> u64 {
    links.into().max(2)
}

/// The mode as `ls -l` shows it.
fn mode(stat: &Stat) -> String {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (bit, letter) in (0..9).rev().zip("rwxrwxrwx".chars()) {
        text.push(if stat.st_mode >> bit & 1 == 1 {
            letter
        } else {
            '-'
        });
    }
    text
}

/// The names of users and groups on this machine.
struct Names {
    users: String,
    groups: String,
}

impl Names {
    fn read() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            users: read("/etc/passwd"),
            groups: read("/etc/group"),
        }
    }

    fn user(&self, id: u32) -> String {
        name(&self.users, id)
    }

    fn group(&self, id: u32) -> String {
        name(&self.groups, id)
    }
}

/// The name of the id in a table such as `/etc/passwd`, or else its number.
fn name(table: &str, id: u32) -> String {
    let id = id.to_string();
    let line = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then_some(name)
    });
    line.unwrap_or(&id).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_users_have_names() {
        let table = "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000::/:/bin/sh\nbroken\n";
        assert_eq!(name(table, 1000), "bob");
        assert_eq!(name(table, 0), "root");
        assert_eq!(name(table, 5), "5");
    }
}
