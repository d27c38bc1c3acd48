import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { withoutBoundary } from "../../src/http/formData.ts"
import { holds, integers } from "../property.ts"

const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0))

const said = (contentType: string | undefined, body: string) => {
  const form = withoutBoundary(contentType, bytes(body))
  return form && JSON.stringify([form.lengths, String.fromCharCode(...form.content)])
}

const encode = (boundary: string, parts: ReadonlyArray<string>, preamble = "") =>
  [preamble, ...parts.map((part) => `\r\n--${boundary}\r\n${part}`), `\r\n--${boundary}--\r\n`]
    .join("")
    .slice(preamble === "" ? 2 : 0)

const type = (boundary: string) => `multipart/form-data; boundary=${boundary}`

describe("a form without its boundary", () => {
  const parts = [
    'content-disposition: form-data; name="a"\r\n\r\n1',
    'content-disposition: form-data; name="b"\r\n\r\n2'
  ]

  it("is the same, whatever its boundary is", () => {
    const one = said(type("x"), encode("x", parts))
    assert.isDefined(one)
    for (const boundary of ["y", "----formdata-undici-012345678901", "x".repeat(70)]) {
      assert.strictEqual(said(type(boundary), encode(boundary, parts)), one)
    }
    assert.strictEqual(said(type("y"), encode("y", parts, "preamble")), said(type("x"), encode("x", parts, "preamble")))
  })

  it("is another, if anything else is", () => {
    const forms = [
      encode("x", parts),
      encode("x", parts.toReversed()),
      encode("x", parts.slice(0, 1)),
      encode("x", [parts[0]!, `${parts[1]}2`]),
      encode("x", [parts.join("")]),
      // of another boundary, which is content here
      encode("x", [parts.join("\r\n--y\r\n")]),
      encode("x", parts, "preamble"),
      encode("x", parts).replaceAll("--x", "--y"),
      ""
    ]
    assert.strictEqual(new Set(forms.map((form) => said(type("x"), form))).size, forms.length)
  })

  const boundaries: ReadonlyArray<readonly [contentType: string | undefined, boundary: string | undefined]> = [
    ["multipart/form-data; boundary=b", "b"],
    ["Multipart/Form-Data;BOUNDARY=b", "b"],
    [" multipart/form-data ; charset=utf-8 ; boundary=b ; a=1", "b"],
    ['multipart/form-data; boundary="b; c"', "b; c"],
    ['multipart/form-data; boundary="b\\"c"', 'b"c'],
    ['multipart/form-data; a="; boundary=x"; boundary=b', "b"],
    ["multipart/form-data; boundary=b; boundary=x", "b"],
    ["multipart/form-data", undefined],
    ["multipart/form-data; boundary=", undefined],
    ["multipart/form-data; boundary=\u00e4", undefined],
    [`multipart/form-data; boundary=${"b".repeat(71)}`, undefined],
    ["multipart/mixed; boundary=b", undefined],
    ["application/json", undefined],
    [undefined, undefined]
  ]
  for (const [contentType, boundary] of boundaries) {
    it(`${contentType?.slice(0, 60)}: ${boundary === undefined ? "is none" : `by ${boundary}`}`, () => {
      const body = encode(boundary ?? "b", parts)
      assert.strictEqual(
        said(contentType, body),
        boundary === undefined ? undefined : said(type("z"), encode("z", parts))
      )
    })
  }

  it.effect("has what it is made of again: no two bodies with one boundary are taken for the same", () => {
    const pieces = ["\r\n--b", "\r\n--", "--b", "\r\n", "\r", "\n", "-", "b", "--", "\r\n--bb", "a"]
    const body = Arbitrary.map(Arbitrary.array(integers(0, pieces.length - 1), { maxLength: 8 }), (at) =>
      at.map((i) => pieces[i]).join("")
    )
    return holds(
      body,
      (body) => {
        const { content, lengths } = withoutBoundary(type("b"), bytes(body))!
        let at = 0
        const parts = lengths.map((length) => String.fromCharCode(...content.subarray(at, (at += length))))
        const again = parts.join("\r\n--b")
        // the first delimiter may have stood where the body begins: of the same form
        return at === content.length && again === (body.startsWith("--b") ? `\r\n${body}` : body)
      },
      { runs: 2_000 }
    )
  })

  it("takes no time, however much it looks like delimiters", () => {
    const body = "\r\n--bbbbbbbb".repeat(50_000)
    const startedAt = performance.now()
    for (const boundary of ["b", "b".repeat(70)]) withoutBoundary(type(boundary), bytes(body))
    withoutBoundary(`multipart/form-data${';a="\\'.repeat(4_000)}`, bytes(""))
    assert.isBelow(performance.now() - startedAt, 2_000)
  })
})
