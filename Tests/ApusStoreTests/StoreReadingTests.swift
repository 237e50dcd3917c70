import Testing

@testable import ApusStore

@Suite struct StoreReadingTests {
  @Test func urlsOfObjectsAreEscaped() throws {
    let web = try StoreLocation("https://host/models?sig=secret")
    #expect(web.url("m/1/a b+ü").url == "https://host/models/m/1/a%20b%2B%C3%BC?sig=secret")
    #expect(web.url("m/1/a b+ü").shown == "https://host/models/m/1/a%20b%2B%C3%BC")
  }

  @Test(arguments: [
    ("s3://bucket/a/b", nil, "https://bucket.s3.eu-west-3.amazonaws.com/a/b/k"),
    ("s3://bucket", nil, "https://bucket.s3.eu-west-3.amazonaws.com/k"),
    ("s3://bucket.with.dots/a", nil, "https://s3.eu-west-3.amazonaws.com/bucket.with.dots/a/k"),
    ("s3://bucket/a/", "http://127.0.0.1:9000", "http://127.0.0.1:9000/bucket/a/k"),
    ("s3://bucket/a", "https://host/s3/", "https://host/s3/bucket/a/k"),
  ])
  func bucketsStandWhereTheSDKsPutThem(_ url: String, _ endpoint: String?, _ expected: String) throws {
    #expect(try StoreLocation(url, endpoint: endpoint, region: "eu-west-3").url("k").url == expected)
  }

  @Test func parametersOfAListingAreInOrder() throws {
    let store = try StoreLocation("s3://bucket/a", endpoint: "http://host")
    #expect(
      store.listing(after: "t=/").url
        == "http://host/bucket/?continuation-token=t%3D%2F&encoding-type=url&list-type=2&prefix=a%2F")
  }

  @Test func escapesAreUndone() {
    #expect(percentDecoded("a+b%2B%C3%BC") == "a b+ü")
    for broken in ["%", "%1", "%zz", "%ff"] { #expect(percentDecoded(broken) == nil) }
  }

  private func page(_ text: String) throws(StoreError) -> ListingPage {
    try withBytes(Array(text.utf8)) { (bytes) throws(StoreError) in try ListingPage(bytes) }
  }

  @Test func aListingIsRead() throws {
    let page = try page(
      """
      <ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
      <NextContinuationToken>t</NextContinuationToken><CommonPrefixes><Prefix>no</Prefix></CommonPrefixes>
      <Contents><Key>m/1/a+b</Key><Size>3</Size><ETag>&quot;abc-2&quot;</ETag><Owner><ID>x</ID></Owner>
      </Contents>
      </ListBucketResult>
      """)
    #expect(page.entries == [ListingPage.Entry(key: "m/1/a b", byteCount: 3, tag: "abc-2")])
    #expect(page.continuation == "t")
  }

  @Test func documentTypesAreRefused() {
    let error = #expect(throws: StoreError.self) {
      try page("<!DOCTYPE l [<!ENTITY a 'aa'>]><ListBucketResult>&a;</ListBucketResult>")
    }
    #expect(error?.description == "the listing has a document type, which is not read")
  }

  @Test func anETagOfOnePartIsAnMD5() {
    #expect(StoreDigest.tag("0123456789abcdef0123456789abcdef").md5 != nil)
    #expect(StoreDigest.tag("0123456789abcdef0123456789abcdef-2").md5 == nil)
    #expect(StoreDigest.tag("0123456789ABCDEF0123456789abcdeg").md5 == nil)
  }

  @Test func halfOfTheCredentialsIsWrongUsage() throws {
    let half = ["AWS_ACCESS_KEY_ID": "a"]
    #expect(throws: StoreError.self) { try StoreCredentials { half[$0] } }
    #expect(try StoreCredentials { _ in nil } == nil)
  }
}
