//! Formats of the store, and the conversion from an older format to the present one.

use std::path::Path;

use redb::{Database, ReadableDatabase as _, WriteTransaction};

use super::OpenError;
use super::redb::{META, damaged, redb_error};

/// Converts one format to the next one, in the same transaction that writes the new format number.
pub(super) type Step = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// The steps, beginning with the one from format 1 to 2. The present format is the one after the last
/// step.
pub(super) const STEPS: &[Step] = &[];

/// Keys in [`META`]: the format number, and the version of the program that wrote it.
const FORMAT: &str = "format";
const PROGRAM: &str = "program";

/// Converts a file to the present format.
pub(super) fn upgrade(database: &Database, path: &Path, steps: &[Step]) -> Result<(), OpenError> {
    let known = u32::try_from(steps.len())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    let format = match read_format(database).map_err(|error| redb_error(path, error))? {
        None => {
            is_new(database, path)?;
            return write(database, known, &[]).map_err(|error| redb_error(path, error));
        }
        Some((format, _)) if format == known => return Ok(()),
        Some((format, program)) if format > known => {
            return Err(OpenError::Newer {
                path: path.to_owned(),
                format,
                known,
                program,
            });
        }
        Some((format, _)) => format,
    };
    let done = format
        .checked_sub(1)
        .ok_or_else(|| damaged(path, "it has the format 0"))?;
    write(database, known, &steps[done as usize..]).map_err(|error| redb_error(path, error))
}

/// A file without a format must not have any tables; otherwise it belongs to another program.
fn is_new(database: &Database, path: &Path) -> Result<(), OpenError> {
    let read = database
        .begin_read()
        .map_err(|error| redb_error(path, error.into()))?;
    let mut tables = read
        .list_tables()
        .map_err(|error| redb_error(path, error.into()))?;
    match tables.next() {
        None => Ok(()),
        Some(_) => Err(damaged(path, "it has tables of another program")),
    }
}

fn read_format(database: &Database) -> Result<Option<(u32, String)>, redb::Error> {
    let read = database.begin_read()?;
    let meta = match read.open_table(META) {
        Ok(meta) => meta,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(format) = meta.get(FORMAT)? else {
        return Ok(None);
    };
    let format = format.value().try_into().map_or(0, u32::from_le_bytes);
    let program = meta
        .get(PROGRAM)?
        .map(|program| String::from_utf8_lossy(program.value()).into_owned());
    Ok(Some((format, program.unwrap_or_default())))
}

fn write(database: &Database, format: u32, steps: &[Step]) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    for step in steps {
        step(&write)?;
    }
    {
        let mut meta = write.open_table(META)?;
        meta.insert(FORMAT, format.to_le_bytes().as_slice())?;
        meta.insert(PROGRAM, env!("CARGO_PKG_VERSION").as_bytes())?;
    }
    write.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use redb::TableDefinition;
    use redb::backends::InMemoryBackend;

    use super::*;

    const OTHER: TableDefinition<&str, &str> = TableDefinition::new("other");

    fn empty() -> Database {
        Database::builder()
            .create_with_backend(InMemoryBackend::new())
            .unwrap()
    }

    fn mark(write: &WriteTransaction) -> Result<(), redb::Error> {
        write.open_table(OTHER)?.insert("upgraded", "yes")?;
        Ok(())
    }

    #[test]
    fn an_older_file_is_upgraded_in_one_transaction() {
        let (database, path) = (empty(), Path::new("store"));
        upgrade(&database, path, &[]).unwrap();
        upgrade(&database, path, &[mark]).unwrap();
        assert_eq!(read_format(&database).unwrap().unwrap().0, 2);
        let read = database.begin_read().unwrap();
        assert!(
            read.open_table(OTHER)
                .unwrap()
                .get("upgraded")
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn a_new_file_needs_no_conversion() {
        let (database, path) = (empty(), Path::new("store"));
        upgrade(&database, path, &[mark]).unwrap();
        let read = database.begin_read().unwrap();
        assert!(
            read.open_table(OTHER).is_err(),
            "there was nothing to convert"
        );
    }

    #[test]
    fn a_newer_file_is_refused_with_its_program() {
        let (database, path) = (empty(), Path::new("store"));
        upgrade(&database, path, &[mark]).unwrap();
        let text = upgrade(&database, path, &[]).unwrap_err().to_string();
        assert!(
            text.contains("store has format 2, written by cook-scheduler"),
            "{text}"
        );
    }

    #[test]
    fn a_file_of_another_program_is_refused() {
        let database = empty();
        let write = database.begin_write().unwrap();
        mark(&write).unwrap();
        write.commit().unwrap();
        let text = upgrade(&database, Path::new("store"), &[])
            .unwrap_err()
            .to_string();
        assert!(text.contains("another program"), "{text}");
    }
}
