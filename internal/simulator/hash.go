package simulator

// Everything random in this package is a hash of what it is about, never a draw from a shared source: the same seed,
// label set and minute give the same number, whatever was asked before. All arithmetic on it is on integers, since a
// fused multiply-add gives other floats on another processor.

// mix is the finalizer of SplitMix64: every input bit reaches every output bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func mix2(a, b uint64) uint64 { return mix(a ^ mix(b)) }

// hashOf hashes a list of words; the length of each is part of it, so that ("a", "bc") and ("ab", "c") differ.
func hashOf(seed uint64, words ...string) uint64 {
	h := mix(seed)
	for _, w := range words {
		f := uint64(14695981039346656037)
		for i := range len(w) {
			f = (f ^ uint64(w[i])) * 1099511628211
		}
		h = mix2(h, f^uint64(len(w))<<56)
	}
	return h
}

// The salts keep draws about the same thing apart.
const (
	saltTraffic uint64 = iota<<32 + 0x51
	saltSparse
	saltRunaway
	saltLate
	saltRestate
	saltBillLag
	saltBillRestate
	saltStyle
	saltDigits
	saltFault
	saltRequestID
)

// chance turns a share into a threshold for a draw of 16 bits.
func chance(share float64) uint64 {
	return uint64(min(max(share, 0), 1)*(1<<16) + 0.5)
}

// per1024 turns a share into 1024ths.
func per1024(share float64) int64 {
	return int64(max(share, 0)*1024 + 0.5)
}

const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// identifier spells n characters of an opaque id.
func identifier(h uint64, n int) string {
	b := make([]byte, n)
	for i := range b {
		if i%8 == 7 {
			h = mix(h)
		}
		b[i] = alphabet[h%uint64(len(alphabet))]
		h /= uint64(len(alphabet))
	}
	return string(b)
}
