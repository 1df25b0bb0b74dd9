//! The results of a job: some from an earlier run's file, the others as they come.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::fan_out::OutOptions;
use crate::out_file::OutFile;

/// The result of one item.
pub trait Record: Serialize + DeserializeOwned {
    /// The item, as it is written in the file.
    fn item(&self) -> &str;

    /// Whether something went wrong.
    fn has_failed(&self) -> bool;

    /// Whether any node has answered at all. What nobody answered is not written, so that a later run does it.
    fn is_answered(&self) -> bool;
}

/// The results of all items of a job, in the items' order.
#[derive(Debug)]
pub struct Results<R> {
    records: Vec<Option<R>>,
    out: Option<OutFile>,
}

impl<R: Record> Results<R> {
    /// Prepares for these items. Where an earlier run is to be resumed, what it has written is taken as done; of an
    /// item that is there several times, as many as were written.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn open<'a>(items: impl IntoIterator<Item = &'a str>, options: &OutOptions) -> Result<Self, Failure> {
        let (mut earlier, mut out) = (HashMap::<String, VecDeque<R>>::new(), None);
        match &options.out {
            Some(path) if options.resume => {
                let (file, records) = OutFile::resume::<R>(path)?;
                for record in records {
                    earlier.entry(record.item().to_owned()).or_default().push_back(record);
                }
                out = Some(file);
            }
            Some(path) => out = Some(OutFile::create(path)?),
            None => {}
        }
        let records = items.into_iter().map(|item| earlier.get_mut(item).and_then(VecDeque::pop_front)).collect();
        Ok(Self { records, out })
    }

    /// Notes a result, and writes it to the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, index: usize, record: R) -> Result<(), Failure> {
        if let Some(out) = self.out.as_mut().filter(|_| record.is_answered()) {
            out.write(&record)?;
        }
        if let Some(slot) = self.records.get_mut(index) {
            *slot = Some(record);
        }
        Ok(())
    }

    /// The items that have no result yet.
    pub fn missing(&self) -> Vec<usize> {
        let missing = |(index, record): (usize, &Option<R>)| record.is_none().then_some(index);
        self.records.iter().enumerate().filter_map(missing).collect()
    }

    /// How many items have a result.
    pub fn done(&self) -> usize {
        self.records.len() - self.missing().len()
    }

    /// The results there are.
    pub fn into_records(self) -> Vec<R> {
        self.records.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sum(String, u32);

    impl Record for Sum {
        fn item(&self) -> &str {
            &self.0
        }

        fn has_failed(&self) -> bool {
            false
        }

        fn is_answered(&self) -> bool {
            self.1 > 0
        }
    }

    #[test]
    fn resuming_repeats_nothing_and_forgets_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut options = OutOptions { out: Some(directory.path().join("out")), resume: true };
        let items = ["a", "b", "a", "c", "a"];
        let mut results = Results::<Sum>::open(items, &options).unwrap();
        assert_eq!(results.missing(), [0, 1, 2, 3, 4]);
        results.add(3, Sum("c".into(), 1)).unwrap();
        results.add(2, Sum("a".into(), 2)).unwrap();
        results.add(0, Sum("a".into(), 3)).unwrap();
        results.add(1, Sum("b".into(), 0)).unwrap();
        assert_eq!((results.missing(), results.done()), (vec![4], 4));
        drop(results);
        let mut results = Results::<Sum>::open(items, &options).unwrap();
        assert_eq!(results.missing(), [1, 4]);
        results.add(1, Sum("b".into(), 4)).unwrap();
        results.add(4, Sum("a".into(), 5)).unwrap();
        let numbers: Vec<u32> = results.into_records().into_iter().map(|sum| sum.1).collect();
        assert_eq!(numbers, [2, 4, 3, 1, 5]);
        options.resume = false;
        assert_eq!(Results::<Sum>::open(items, &options).unwrap().missing().len(), 5);
    }
}
