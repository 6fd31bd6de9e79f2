//! Objects, read in ranges and written in parts, on the emulator's S3 and on one with faults.

use std::collections::BTreeMap;

use aurora_sync::aws::objects::{ObjectName, Objects, PART_BYTES, RANGE_BYTES};
use aurora_sync::domain::error::{ServiceError, ServiceFault};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};

use crate::support::faulty_store::{Behavior, FaultyStore};
use crate::support::services::Bucket;

fn name(bucket: &str, key: &str) -> ObjectName {
    ObjectName { bucket: bucket.into(), key: key.into(), version_id: None, etag: None }
}

/// Returns bytes that do not repeat within a range.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from((n * 31 + n / 251) % 256).unwrap()).collect()
}

async fn read(
    objects: &Objects,
    name: &ObjectName,
    size_bytes: u64,
    from_byte: u64,
) -> Result<Vec<u8>, ServiceError> {
    let mut reader = objects.read(name, size_bytes, from_byte);
    let mut found = Vec::new();
    while let Some(bytes) = reader.next().await? {
        found.extend_from_slice(&bytes);
    }
    Ok(found)
}

#[tokio::test]
async fn an_object_of_any_size_is_read_from_any_byte() {
    let bucket = Bucket::new().await;
    let objects = Objects::new(&bucket.sdk_config);
    let range = usize::try_from(RANGE_BYTES).unwrap();
    for len in [0, 1, range - 1, range, range + 1, 4 * range + 5] {
        let key = format!("imports/t/{len} + 表.csv");
        let content = content(len);
        let etag = bucket.put(&key, content.clone()).await;
        let name = ObjectName { etag: Some(etag), ..name(&bucket.name, &key) };
        let head = objects.head(&name).await.unwrap();
        assert_eq!((head.size_bytes, head.etag), (len as u64, name.etag.clone()));
        for from in [0, len / 2, len] {
            let found = read(&objects, &name, len as u64, from as u64).await.unwrap();
            assert!(found == content[from..], "{len} from {from}");
        }
    }
}

#[tokio::test]
async fn metadata_comes_with_the_head() {
    let bucket = Bucket::new().await;
    let client = Client::new(&bucket.sdk_config);
    let put = client.put_object().bucket(&bucket.name).key("k").body(ByteStream::from_static(b"x"));
    put.metadata("delimiter", ";").metadata("Max-Rejects", "5%").send().await.unwrap();
    let head = Objects::new(&bucket.sdk_config).head(&name(&bucket.name, "k")).await.unwrap();
    let expected = [("delimiter", ";"), ("max-rejects", "5%")];
    assert_eq!(head.metadata, expected.map(|(name, value)| (name.into(), value.into())).into());
}

#[tokio::test]
async fn a_changed_object_is_distinguished_from_a_missing_one() {
    let bucket = Bucket::new().await;
    let objects = Objects::new(&bucket.sdk_config);
    let etag = bucket.put("k", "first").await;
    bucket.put("k", "second").await;
    let old = ObjectName { etag: Some(etag), ..name(&bucket.name, "k") };
    let fault = |error: ServiceError| error.fault;
    assert_eq!(objects.head(&old).await.map_err(fault), Err(ServiceFault::Changed));
    assert_eq!(read(&objects, &old, 5, 0).await.map_err(fault), Err(ServiceFault::Changed));
    let gone = name(&bucket.name, "gone");
    assert_eq!(objects.head(&gone).await.map_err(fault), Err(ServiceFault::NotFound));
    assert_eq!(read(&objects, &gone, 5, 0).await.map_err(fault), Err(ServiceFault::NotFound));
    let nowhere = name("there-is-no-such-bucket", "k");
    assert_eq!(objects.head(&nowhere).await.map_err(fault), Err(ServiceFault::Denied));
}

#[tokio::test]
async fn a_version_is_read_although_a_newer_one_exists() {
    let bucket = Bucket::new().await;
    let client = Client::new(&bucket.sdk_config);
    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    let put = client.put_bucket_versioning().bucket(&bucket.name);
    put.versioning_configuration(versioning.build()).send().await.unwrap();
    let put = client.put_object().bucket(&bucket.name).key("k");
    let first = put.body(ByteStream::from_static(b"first")).send().await.unwrap();
    bucket.put("k", "second").await;
    bucket.delete("k").await;
    let objects = Objects::new(&bucket.sdk_config);
    let first = ObjectName { version_id: first.version_id, ..name(&bucket.name, "k") };
    assert_eq!(objects.head(&first).await.unwrap().size_bytes, 5);
    assert_eq!(read(&objects, &first, 5, 0).await.unwrap(), b"first");
}

/// Reads an object of two ranges and a few bytes from a store that behaves in these ways.
async fn read_under(behaviors: &[Behavior]) -> (FaultyStore, Result<(), ServiceFault>) {
    let range = usize::try_from(RANGE_BYTES).unwrap();
    let content = content(2 * range + 10);
    let store = FaultyStore::of(content.clone(), behaviors).await;
    let objects = Objects::new(&store.sdk_config);
    let found = read(&objects, &name("b", "k"), content.len() as u64, 0).await;
    let found = found.map(|found| assert!(found == content, "the content is another"));
    (store, found.map_err(|error| error.fault))
}

#[tokio::test]
async fn a_broken_range_continues_at_its_next_byte() {
    // The object has one range.
    let content = content(1_000);
    let behaviors = [
        Behavior::Break(300),
        Behavior::Short(100),
        Behavior::Hang,
        Behavior::Break(0),
        Behavior::Break(250),
    ];
    let store = FaultyStore::of(content.clone(), &behaviors).await;
    let objects = Objects::new(&store.sdk_config);
    let name = ObjectName { etag: Some("one".into()), ..name("b", "k") };
    assert!(read(&objects, &name, 1_000, 0).await.unwrap() == content);
    assert_eq!(store.left(), 0);
    let mut starts: Vec<_> = store.requested().iter().map(|range| range.start).collect();
    assert!(store.requested().iter().all(|range| range.end == 1_000));
    starts.dedup();
    assert_eq!(starts, [0, 300, 400, 650]);
    assert!(store.if_match().iter().all(|etag| etag.as_deref() == Some("\"one\"")));
}

#[tokio::test]
async fn broken_ranges_make_up_the_whole_object() {
    let behaviors = [
        Behavior::Break(1_000_000),
        Behavior::Break(5),
        Behavior::Fail(503, "SlowDown"),
        Behavior::Short(700_000),
        Behavior::All,
        Behavior::Hang,
    ];
    let (store, found) = read_under(&behaviors).await;
    assert_eq!(found, Ok(()));
    assert_eq!(store.left(), 0);
}

#[tokio::test]
async fn an_outage_of_s3_ends_the_read_after_a_bounded_number_of_attempts() {
    let hang = vec![Behavior::Hang; 1_000];
    let (store, found) = read_under(&hang).await;
    assert_eq!(found, Err(ServiceFault::Unavailable));
    assert!(store.left() > 900, "a bounded number of attempts: {} are left", store.left());
}

#[tokio::test]
async fn an_object_that_changes_while_it_is_read_is_an_error() {
    for behavior in [
        Behavior::OtherETag,
        Behavior::Grown,
        Behavior::Fail(412, "PreconditionFailed"),
        Behavior::Fail(416, "InvalidRange"),
    ] {
        let (_, found) = read_under(&[Behavior::Whole, behavior.clone()]).await;
        assert_eq!(found, Err(ServiceFault::Changed), "{behavior:?}");
    }
    let (_, found) = read_under(&[Behavior::Break(10), Behavior::Fail(404, "NoSuchKey")]).await;
    assert_eq!(found, Err(ServiceFault::NotFound));
}

#[tokio::test]
async fn every_range_is_requested_with_the_version() {
    let store = FaultyStore::of(content(10), &[Behavior::Break(4)]).await;
    let name = ObjectName { version_id: Some("v1".into()), ..name("b", "k") };
    read(&Objects::new(&store.sdk_config), &name, 10, 0).await.unwrap();
    assert_eq!(store.paths().len(), 2);
    assert!(store.paths().iter().all(|path| path.contains("versionId=v1")), "{:?}", store.paths());
}

#[tokio::test]
async fn an_empty_object_needs_no_request() {
    let store = FaultyStore::of(Vec::new(), &[]).await;
    let objects = Objects::new(&store.sdk_config);
    assert_eq!(read(&objects, &name("b", "k"), 0, 0).await.unwrap(), b"");
    assert!(store.requested().is_empty());
}

#[tokio::test]
async fn no_more_than_two_ranges_are_fetched_ahead() {
    let range = usize::try_from(RANGE_BYTES).unwrap();
    let content = content(8 * range);
    let store = FaultyStore::of(content.clone(), &[]).await;
    let objects = Objects::new(&store.sdk_config);
    let mut reader = objects.read(&name("b", "k"), content.len() as u64, 0);
    for read in 0..8 {
        let bytes = reader.next().await.unwrap().unwrap();
        assert!(bytes == content[read * range..(read + 1) * range]);
        // The reader sends its requests before it waits for the next range.
        tokio::task::yield_now().await;
        assert!(
            store.requested().len() <= read + 3,
            "{} ranges at {read}",
            store.requested().len()
        );
    }
    assert!(reader.next().await.unwrap().is_none());
}

#[tokio::test]
async fn an_upload_of_any_size_is_one_object() {
    let bucket = Bucket::new().await;
    let objects = Objects::new(&bucket.sdk_config);
    for (len, piece) in [
        (0, 1),
        (10, 3),
        (PART_BYTES - 1, PART_BYTES),
        (PART_BYTES, 1 << 20),
        (2 * PART_BYTES + 7, 999_999),
    ] {
        let key = format!("t/{len}.csv");
        let content = content(len);
        let upload = objects.upload(&bucket.name, &key, "text/csv").await.unwrap();
        let metadata = BTreeMap::from([("delimiter".to_owned(), ";".to_owned())]);
        let mut upload = upload.with_metadata(metadata.clone());
        for piece in content.chunks(piece) {
            upload.push(piece).await.unwrap();
        }
        // The object does not exist before the upload is finished.
        assert!(objects.head(&name(&bucket.name, &key)).await.is_err());
        upload.finish().await.unwrap();
        let head = objects.head(&name(&bucket.name, &key)).await.unwrap();
        assert_eq!((head.size_bytes, head.metadata), (len as u64, metadata));
        let found = read(&objects, &name(&bucket.name, &key), len as u64, 0).await.unwrap();
        assert!(found == content, "{len}");
    }
}

#[tokio::test]
async fn an_abandoned_upload_leaves_nothing() {
    let bucket = Bucket::new().await;
    let objects = Objects::new(&bucket.sdk_config);
    let client = Client::new(&bucket.sdk_config);
    let uploads = async || {
        let uploads = client.list_multipart_uploads().bucket(&bucket.name).send().await.unwrap();
        uploads.uploads.unwrap_or_default().len()
    };
    let mut upload = objects.upload(&bucket.name, "k", "text/csv").await.unwrap();
    upload.push(&content(PART_BYTES + 1)).await.unwrap();
    assert_eq!(uploads().await, 1);
    drop(upload);
    crate::support::until(async || uploads().await == 0).await;
    assert!(objects.head(&name(&bucket.name, "k")).await.is_err());
}

#[tokio::test]
async fn an_object_is_replaced_only_if_nobody_else_has_replaced_it() {
    let bucket = Bucket::new().await;
    let objects = Objects::new(&bucket.sdk_config);
    let replace = async |text: &str, etag: Option<&str>| {
        objects.replace(&bucket.name, "k", text.into(), etag).await.map_err(|error| error.fault)
    };
    let etag = async || {
        let fetched = objects.get_if_changed(&bucket.name, "k", None).await.unwrap();
        fetched.changed.unwrap().0
    };
    assert_eq!(replace("1", None).await, Ok(()));
    let first = etag().await;
    assert_eq!(replace("2", None).await, Err(ServiceFault::Changed));
    assert_eq!(replace("2", first.as_deref()).await, Ok(()));
    assert_eq!(replace("3", first.as_deref()).await, Err(ServiceFault::Changed));
    assert_eq!(bucket.get("k").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn an_object_that_is_known_is_not_sent_again() {
    let bucket = Bucket::new().await;
    let objects = Objects::new(&bucket.sdk_config);
    let etag = bucket.put("k", "1").await;
    let known = format!("\"{etag}\"");
    let fetched = objects.get_if_changed(&bucket.name, "k", Some(&known)).await.unwrap();
    assert!(fetched.changed.is_none());
    bucket.put("k", "2").await;
    let fetched = objects.get_if_changed(&bucket.name, "k", Some(&known)).await.unwrap();
    assert_eq!(fetched.changed.unwrap().1, b"2");
    assert!(fetched.written_at.is_some());
}
