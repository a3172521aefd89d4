package fetcher

import (
	"hash/maphash"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// mostFingerprinted bounds the bytes of a bucket that is known by its fingerprint, since all of it has to be there before it
// can be told from others.
const mostFingerprinted = 16 << 20

// The seeds are new in every process, so nobody can make two buckets that have one fingerprint, and by chance there are none:
// it has two hashes and the length.
var seeds = [...]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// A printer makes the fingerprint of what is written to it.
type printer struct {
	hashes [len(seeds)]maphash.Hash
	size   int
	lead   int // bytes that stand before what is printed
}

// begin begins a fingerprint of what comes behind some bytes.
func (p *printer) begin(lead int) {
	for i := range p.hashes {
		p.hashes[i].SetSeed(seeds[i])
	}
	p.size, p.lead = 0, lead
}

func (p *printer) write(b []byte) {
	n := min(p.lead, len(b))
	p.lead -= n
	b = b[n:]
	if p.size += len(b); p.size > mostFingerprinted {
		return
	}
	for i := range p.hashes {
		p.hashes[i].Write(b)
	}
}

// sum returns the fingerprint, or false for what is too long for one.
func (p *printer) sum() (ledger.Fingerprint, bool) {
	fingerprint := ledger.Fingerprint{Size: p.size}
	for i := range p.hashes {
		fingerprint.Sums[i] = p.hashes[i].Sum64()
	}
	return fingerprint, p.size > 0 && p.size <= mostFingerprinted
}

// matches says whether bytes have a fingerprint.
func matches(b []byte, fingerprint ledger.Fingerprint) bool {
	if len(b) != fingerprint.Size {
		return false
	}
	for i := range seeds {
		if maphash.Bytes(seeds[i], b) != fingerprint.Sums[i] {
			return false
		}
	}
	return true
}

// A gist summarizes rows: how many there are, which columns have values, and whose they are. It is kept with a fingerprint,
// because the rows of a known bucket are not decoded again.
type gist struct {
	rows int
	// filled are the columns that have a value in some row: one that no row fills is one that the API did not group by.
	filled ledger.Set
	// owner is the organization that rows say they are of; where they are of several, ambiguous.
	owner     string
	ambiguous bool
}

// owned notes the organization that a row says it is of. Rows of several leave open whose the answer is.
func (g *gist) owned(id string) {
	if id == "" {
		return
	}
	g.ambiguous = g.ambiguous || g.owner != "" && g.owner != id
	g.owner = id
}

// add adds the gist of other rows.
func (g *gist) add(o gist) {
	g.rows += o.rows
	g.filled |= o.filled
	g.ambiguous = g.ambiguous || o.ambiguous
	g.owned(o.owner)
}

// bucket passes over the buckets that are known by their fingerprint, or else reads the next one.
func (p *pageReader) bucket() error {
	d := p.d
	d.tape.settle()
	passed := false
	for ; ; p.buckets++ {
		fingerprint, recorded := p.into.Recorded(d.next)
		if !recorded {
			break
		}
		lead := d.tape.lead(p.buckets > 0)
		if lead < 0 || !matches(d.tape.peek(lead + fingerprint.Size)[lead:], fingerprint) {
			break
		}
		if wanted, err := p.keep(d.next, time.Time{}); err != nil || !wanted {
			break // It is told by who reads it.
		}
		d.tape.ahead.Next(lead + fingerprint.Size)
		p.into.Same(d.next, fingerprint)
		d.add(gist{rows: fingerprint.Rows, filled: fingerprint.Filled, owner: fingerprint.Organization})
		d.next = d.next.Add(d.width)
		passed = true
	}
	if passed {
		return d.tape.resume()
	}
	return p.read()
}

// read reads the next bucket and fingerprints it.
func (p *pageReader) read() error {
	d := p.d
	d.tape.fingerprint.begin(max(d.tape.lead(p.buckets > 0), 0))
	p.buckets++
	before := d.gist
	d.gist = gist{}
	b := bucketReader{d: d, into: p.into, keep: p.keep}
	err := b.read()
	g := d.gist
	d.gist, d.next = before, b.start.Add(d.width)
	d.add(g)
	if err != nil {
		return err
	}
	d.tape.settle()
	if fingerprint, ok := d.tape.fingerprint.sum(); ok && b.opened && !g.ambiguous {
		fingerprint.Rows, fingerprint.Filled, fingerprint.Organization = g.rows, g.filled, g.owner
		p.into.Fingerprint(fingerprint)
	}
	return nil
}
