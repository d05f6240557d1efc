package cache

import (
	"bytes"
	"testing"
	"time"
)

// Nothing but what was written for a key is read for it.
func FuzzDecode(f *testing.F) {
	k := Key{1}
	good := encode(k, Value{bytes.Repeat([]byte("tides "), 200), time.UnixMilli(1)})
	f.Add(good)
	f.Add(encode(k, Value{[]byte("short"), time.UnixMilli(1)}))
	f.Add(encode(Key{2}, Value{[]byte("another's"), time.UnixMilli(1)}))
	f.Add([]byte("JYC"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := decode(k, raw)
		if err != nil {
			return
		}
		if again, err := decode(k, encode(k, v)); err != nil || !bytes.Equal(again.Bytes, v.Bytes) || !again.Expires.Equal(v.Expires) {
			t.Errorf("got %d bytes until %s, then %d until %s, %v", len(v.Bytes), v.Expires, len(again.Bytes), again.Expires, err)
		}
	})
}
