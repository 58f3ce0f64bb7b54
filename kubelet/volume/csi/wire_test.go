package csi

import (
	"bytes"
	"testing"
)

func TestMessages(t *testing.T) {
	t.Parallel()
	m := message{}.text(1, "id").text(2, "").number(3, 5).number(4, 0).table(5, map[string]string{"b": "2", "a": "1"}).nest(6, nil)
	list, err := m.fields()
	if err != nil || len(list) != 5 {
		t.Fatalf("%v, %v", list, err)
	}
	if string(list[0].bytes) != "id" || list[1].value != 5 || !bytes.Contains(list[2].bytes, []byte("a")) || len(list[4].bytes) != 0 {
		t.Errorf("%+v", list)
	}
	topology, err := segments(message{}.table(1, map[string]string{"zone": "a", "rack": "r"}))
	if err != nil || topology["zone"] != "a" || topology["rack"] != "r" {
		t.Errorf("%v, %v", topology, err)
	}
}

func FuzzFields(f *testing.F) {
	f.Add([]byte(message{}.text(1, "x").number(2, 1).nest(3, nil)))
	f.Add([]byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := message(data).fields()
		if err == nil && len(data) > 0 && len(list) == 0 {
			t.Error("something is nothing")
		}
	})
}
