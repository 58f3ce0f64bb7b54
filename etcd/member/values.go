package member

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/types"
)

// urlList is a flag with a comma-separated list of URLs, each once.
type urlList struct{ urls *[]url.URL }

func (l urlList) Set(text string) error {
	if text == "" {
		*l.urls = nil
		return nil
	}
	urls, err := types.NewURLs(strings.Split(text, ","))
	*l.urls = slices.Compact(urls) // they are sorted
	return err
}

func (l urlList) String() string {
	if l.urls == nil {
		return ""
	}
	return join(*l.urls)
}

func join(urls []url.URL) string {
	var all []string
	for _, u := range urls {
		all = append(all, u.String())
	}
	return strings.Join(all, ",")
}

// words is a flag with a comma-separated list.
type words struct{ list *[]string }

func (w words) Set(text string) error {
	*w.list = nil
	for _, word := range strings.Split(text, ",") {
		if word = strings.TrimSpace(word); word != "" && !slices.Contains(*w.list, word) {
			*w.list = append(*w.list, word)
		}
	}
	return nil
}

func (w words) String() string {
	if w.list == nil {
		return ""
	}
	return strings.Join(*w.list, ",")
}

// members is a flag with a comma-separated list that becomes a set; "*" stands for everything.
type members struct {
	set *map[string]struct{}
	// urls: each has to be one.
	urls bool
}

func (m members) Set(text string) error {
	var list []string
	if err := (words{&list}).Set(text); err != nil {
		return err
	}
	if m.urls && len(list) > 0 && text != "*" {
		urls, err := types.NewURLs(list)
		if err != nil {
			return err
		}
		list = urls.StringSlice()
	}
	*m.set = map[string]struct{}{}
	for _, word := range list {
		(*m.set)[word] = struct{}{}
	}
	return nil
}

func (m members) String() string {
	if m.set == nil {
		return ""
	}
	var all []string
	for word := range *m.set {
		all = append(all, word)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// number is a flag with 32 bits.
type number struct{ value *uint32 }

func (n number) Set(text string) error {
	value, err := strconv.ParseUint(text, 0, 32)
	*n.value = uint32(value)
	return err
}

func (n number) String() string {
	if n.value == nil {
		return ""
	}
	return strconv.FormatUint(uint64(*n.value), 10)
}
