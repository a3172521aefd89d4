package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The database trusts its pages: it follows what they point to, and gives away those that it holds to be free. So the
// whole structure is gone through before anything is asked of it, with nothing but bounded reads. This is the format:
//
//	page    = id:8 flags:2 count:2 overflow:4 …
//	meta    = page, then magic:4 version:4 pagesize:4 flags:4 root:8 sequence:8 freelist:8 pages:8 transaction:8 sum:8
//	branch  = page, then (position:4 keysize:4 page:8)…    positions are from the element's own start
//	leaf    = page, then (flags:4 position:4 keysize:4 valuesize:4)…
//	bucket  = root:8 sequence:8, and a page of its own where root is 0    the value of a leaf's element with flag 1
//	free    = page, then page:8…    the number of them comes first where count is 65535
const (
	pageHead       = 16
	metaSize       = 64
	elementSize    = 16
	bucketHead     = 16
	flagBranch     = 1
	flagLeaf       = 2
	flagFree       = 16
	magic          = 0xED0CDAED
	manyFree       = 0xFFFF
	deepest        = 64
	mostBuckets    = 8 // in each other
	bucketElement  = 1
	smallestPage   = 1024
	largestPage    = 1 << 24
	metaPages      = 2
	lastMetaOffset = largestPage
)

var native = binary.NativeEndian

var (
	errNoMeta = errors.New("it has no valid meta page")
	errCutOff = errors.New("it is shorter than its meta page says")
)

type inspection struct {
	file     io.ReaderAt
	pageSize int64
	pages    uint64          // from here on there are none
	used     map[uint64]bool // or free
}

// inspect says what is wrong with the structure of the database in a file.
func inspect(file io.ReaderAt, size int64) error {
	meta, pageSize, err := head(file)
	if err != nil {
		return err
	}
	in := &inspection{file: file, pageSize: pageSize, pages: native.Uint64(meta[40:]), used: map[uint64]bool{0: true, 1: true}}
	if in.pages > uint64(size/pageSize) {
		return errCutOff
	}
	if err := in.tree(native.Uint64(meta[16:]), nil, nil, deepest, mostBuckets); err != nil {
		return err
	}
	if err := in.free(native.Uint64(meta[32:])); err != nil {
		return err
	}
	if n := uint64(len(in.used)); n != in.pages {
		return fmt.Errorf("%d pages are neither used nor free", in.pages-n)
	}
	return nil
}

// head is the newer one of the valid meta pages.
func head(file io.ReaderAt) (newest []byte, pageSize int64, err error) {
	for at := int64(0); at <= lastMetaOffset; at = max(2*at, smallestPage) {
		b := make([]byte, pageHead+metaSize)
		if _, err := file.ReadAt(b, at); err != nil {
			break
		}
		b = b[pageHead:]
		sum := fnv.New64a()
		_, _ = sum.Write(b[:metaSize-8])
		size := int64(native.Uint32(b[8:]))
		if native.Uint32(b) != magic || sum.Sum64() != native.Uint64(b[metaSize-8:]) || at != 0 && at != size {
			continue
		}
		if newest == nil || native.Uint64(b[48:]) > native.Uint64(newest[48:]) {
			newest, pageSize = b, size
		}
	}
	if newest == nil || pageSize < smallestPage || pageSize > largestPage {
		return nil, 0, errNoMeta
	}
	return newest, pageSize, nil
}

// page reads a page with what it overflows into.
func (in *inspection) page(id uint64) ([]byte, error) {
	if id < metaPages || id >= in.pages {
		return nil, fmt.Errorf("page %d does not exist", id)
	}
	b := make([]byte, pageHead)
	if _, err := in.file.ReadAt(b, int64(id)*in.pageSize); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	if native.Uint64(b) != id {
		return nil, fmt.Errorf("page %d has the number of another page", id)
	}
	n := uint64(native.Uint32(b[12:])) + 1
	if n > in.pages-id {
		return nil, fmt.Errorf("page %d extends beyond the last page", id)
	}
	for i := range n {
		if err := in.use(id + i); err != nil {
			return nil, err
		}
	}
	b = make([]byte, int64(n)*in.pageSize)
	if _, err := in.file.ReadAt(b, int64(id)*in.pageSize); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	return b, nil
}

func (in *inspection) use(id uint64) error {
	if in.used[id] {
		return fmt.Errorf("page %d is used twice", id)
	}
	in.used[id] = true
	return nil
}

// tree goes through the pages below one. Its keys must lie in [low, high), where high may be nil for no bound.
func (in *inspection) tree(id uint64, low, high []byte, depth, buckets int) error {
	b, err := in.page(id)
	if err != nil {
		return err
	}
	if err := in.node(b, low, high, depth, buckets); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

var (
	errKind    = errors.New("it has an unexpected type")
	errDepth   = errors.New("it is nested too deeply")
	errElement = errors.New("it has an invalid element")
	errOrder   = errors.New("its keys are out of order")
)

// node goes through a page that is a branch or a leaf.
func (in *inspection) node(b []byte, low, high []byte, depth, buckets int) error {
	if depth == 0 || buckets == 0 {
		return errDepth
	}
	p, err := pageNode(b)
	if err != nil {
		return err
	}
	for i := range p.n {
		k, rest, err := p.element(i)
		if err != nil {
			return err
		}
		if len(k) == 0 {
			return errElement // bbolt stores none, and gives up on one where it writes.
		}
		// The first key of a branch may be older than the branch, and lie before it. It never lies behind its first child's.
		oldest := p.branch && i == 0
		if !oldest && bytes.Compare(k, low) < 0 || high != nil && bytes.Compare(k, high) >= 0 {
			return errOrder
		}
		next := high
		if i+1 < p.n {
			if next, _, err = p.element(i + 1); err != nil {
				return err
			}
			if bytes.Compare(k, next) >= 0 {
				return errOrder
			}
		}
		switch {
		case !p.branch:
			err = in.leaf(p.head(i), rest, buckets)
		case oldest && bytes.Compare(k, low) < 0:
			err = in.tree(native.Uint64(p.head(i)[8:]), low, next, depth-1, buckets)
		default:
			err = in.tree(native.Uint64(p.head(i)[8:]), k, next, depth-1, buckets)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leaf looks at the value of an element of a leaf, whose key the rest of the page follows.
func (in *inspection) leaf(head, rest []byte, buckets int) error {
	size := native.Uint32(head[12:])
	if uint64(size) > uint64(len(rest)) {
		return errElement
	}
	switch native.Uint32(head) {
	case 0:
		return nil
	case bucketElement:
		return in.bucket(rest[:size], buckets-1)
	}
	return errKind
}

// A node is a page that is a branch or a leaf: n elements, each of which tells where in the page its key is.
type node struct {
	b      []byte
	n      int
	branch bool
}

func pageNode(b []byte) (node, error) {
	if len(b) < pageHead {
		return node{}, errElement
	}
	flags, n := native.Uint16(b[8:]), int(native.Uint16(b[10:]))
	switch {
	case flags != flagBranch && flags != flagLeaf, flags == flagBranch && n == 0:
		return node{}, errKind
	case pageHead+n*elementSize > len(b):
		return node{}, errElement
	}
	return node{b, n, flags == flagBranch}, nil
}

// head is what an element tells of itself.
func (p *node) head(i int) []byte { return p.b[pageHead+i*elementSize:] }

// element is the key of an element, and what follows the key in the page.
func (p *node) element(i int) (key, rest []byte, err error) {
	e := p.head(i)
	position, size := native.Uint32(e), native.Uint32(e[4:])
	if !p.branch {
		position, size = native.Uint32(e[4:]), native.Uint32(e[8:])
	}
	from := uint64(pageHead+i*elementSize) + uint64(position)
	if from+uint64(size) > uint64(len(p.b)) || from < uint64(pageHead+p.n*elementSize) {
		return nil, nil, errElement
	}
	return p.b[from : from+uint64(size)], p.b[from+uint64(size):], nil
}

func (in *inspection) bucket(value []byte, buckets int) error {
	if len(value) < bucketHead {
		return errElement
	}
	if root := native.Uint64(value); root != 0 {
		return in.tree(root, nil, nil, deepest, buckets)
	}
	if inline := value[bucketHead:]; len(inline) < pageHead || native.Uint16(inline[8:]) != flagLeaf {
		return errKind
	}
	return in.node(value[bucketHead:], nil, nil, 1, buckets)
}

// free goes through the list of free pages.
func (in *inspection) free(id uint64) error {
	b, err := in.page(id)
	if err != nil {
		return err
	}
	if native.Uint16(b[8:]) != flagFree {
		return fmt.Errorf("page %d: %w", id, errKind)
	}
	n, ids := uint64(native.Uint16(b[10:])), b[pageHead:]
	if n == manyFree {
		n, ids = native.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return fmt.Errorf("page %d: %w", id, errElement)
	}
	for i := range n {
		free := native.Uint64(ids[8*i:])
		if free < metaPages || free >= in.pages {
			return fmt.Errorf("the list of free pages names page %d, which does not exist", free)
		}
		if err := in.use(free); err != nil {
			return err
		}
	}
	return nil
}
