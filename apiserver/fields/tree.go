package fields

import (
	"fmt"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// pathSet collects the paths of an outcome.
func pathSet(nodes []node, wanted outcome) *fieldpath.Set {
	s := fieldpath.NewSet()
	for i := range nodes {
		n := &nodes[i]
		if n.outcome&wanted != 0 {
			s.Members.Insert(n.element)
		}
		if len(n.children) > 0 {
			if below := pathSet(n.children, wanted); !below.Empty() {
				*s.Children.Descend(n.element) = *below
			}
		}
	}
	return s
}

// reaches says whether any path has an outcome.
func reaches(nodes []node, wanted outcome) bool {
	for i := range nodes {
		if nodes[i].outcome&wanted != 0 || reaches(nodes[i].children, wanted) {
			return true
		}
	}
	return false
}

// appendJSON writes changed paths as FieldsV1 has them: nodes are sorted already. False in the second result: nothing.
func appendJSON(to []byte, nodes []node, self bool) ([]byte, error) {
	to = append(to, '{')
	first := true
	if self {
		to = append(to, `".":{}`...)
		first = false
	}
	for i := range nodes {
		n := &nodes[i]
		if n.outcome&changed == 0 && !reaches(n.children, changed) {
			continue
		}
		if !first {
			to = append(to, ',')
		}
		first = false
		var err error
		if to, err = appendElement(to, n.element); err != nil {
			return nil, err
		}
		to = append(to, ':')
		if !reaches(n.children, changed) {
			to = append(to, "{}"...)
			continue
		}
		if to, err = appendJSON(to, n.children, n.outcome&changed != 0); err != nil {
			return nil, err
		}
	}
	return append(to, '}'), nil
}

func appendElement(to []byte, element fieldpath.PathElement) ([]byte, error) {
	if element.FieldName != nil && plain(*element.FieldName) {
		return append(append(append(to, `"f:`...), *element.FieldName...), '"'), nil
	}
	text, err := fieldpath.SerializePathElement(element)
	if err != nil {
		return nil, fmt.Errorf("managed fields: %w", err)
	}
	return appendString(to, text), nil
}

// plain says that a string needs no escapes in JSON.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string.
func appendString(to []byte, s string) []byte {
	to = append(to, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c < ' ':
			to = append(to, `\u00`...)
			to = append(to, hexDigits[c>>4], hexDigits[c&15])
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}
