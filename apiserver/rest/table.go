package rest

import (
	"encoding/json"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
)

// table writes objects as rows of a meta.k8s.io Table.
type table struct {
	r       *Resource
	version string
	include metav1.IncludeObjectPolicy
	columns []byte
}

// newTable reads the options of a Table from the query.
func (r *Resource) newTable(req *http.Request, version string) (*table, error) {
	var options metav1.TableOptions
	if err := readOptions(req, &options, metav1.Convert_url_Values_To_v1_TableOptions); err != nil {
		return nil, err
	}
	if errs := metavalidation.ValidateTableOptions(&options); len(errs) > 0 {
		return nil, apierrors.NewBadRequest("Unable to convert to Table as requested: " + errs.ToAggregate().Error())
	}
	columns, err := json.Marshal(r.Columns)
	if err != nil {
		return nil, err
	}
	return &table{r: r, version: version, include: options.IncludeObject, columns: columns}, nil
}

// appendHead writes a Table up to its first row.
func (t *table) appendHead(to []byte, meta metav1.ListMeta, columns bool) ([]byte, error) {
	to = append(to, jsonHead(schema.GroupVersionKind{Group: "meta.k8s.io", Version: t.version, Kind: "Table"})...)
	metaBytes, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	to = append(append(to, `,"metadata":`...), metaBytes...)
	to = append(to, `,"columnDefinitions":`...)
	if columns {
		to = append(to, t.columns...)
	} else {
		to = append(to, "null"...)
	}
	return append(to, `,"rows":[`...), nil
}

// appendRow writes one object as a row.
func (t *table) appendRow(to []byte, item *store.Item) ([]byte, error) {
	obj, err := t.r.outward(item.Object)
	if err != nil {
		return nil, err
	}
	to = append(to, `{"cells":[`...)
	for i, cell := range t.r.Row(obj) {
		if i > 0 {
			to = append(to, ',')
		}
		if to, err = appendCell(to, cell); err != nil {
			return nil, err
		}
	}
	to = append(to, ']')
	if t.r.RowConditions != nil {
		if conditions := t.r.RowConditions(obj); len(conditions) > 0 {
			bytes, err := json.Marshal(conditions)
			if err != nil {
				return nil, err
			}
			to = append(append(to, `,"conditions":`...), bytes...)
		}
	}
	to = append(to, `,"object":`...)
	var bytes []byte
	switch t.include {
	case metav1.IncludeNone:
		bytes = []byte("null")
	case metav1.IncludeObject:
		bytes, err = item.Encoded(t.r.forms[formJSON])
	default:
		bytes, err = item.Encoded(t.r.forms[formPartialJSON])
	}
	if err != nil {
		return nil, err
	}
	return append(append(to, bytes...), '}'), nil
}

// appendCell writes a cell without reflection where it can.
func appendCell(to []byte, cell any) ([]byte, error) {
	switch value := cell.(type) {
	case nil:
		return append(to, "null"...), nil
	case string:
		if plainJSON(value) {
			return append(append(append(to, '"'), value...), '"'), nil
		}
	case int64:
		return strconv.AppendInt(to, value, 10), nil
	case int32:
		return strconv.AppendInt(to, int64(value), 10), nil
	case int:
		return strconv.AppendInt(to, int64(value), 10), nil
	case bool:
		return strconv.AppendBool(to, value), nil
	}
	bytes, err := json.Marshal(cell)
	return append(to, bytes...), err
}

// plainJSON says that a string is its own JSON between quotes.
func plainJSON(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// sendTable answers with a page of rows.
func (r *Resource) sendTable(w http.ResponseWriter, req *http.Request, code int, accept request.Accept, page *store.Page, version string) error {
	t, err := r.newTable(req, accept.Version)
	if err != nil {
		return err
	}
	meta := listMeta(page)
	meta.ResourceVersion = version
	buffer := getBuffer()
	defer putBuffer(buffer)
	if *buffer, err = t.appendHead(*buffer, meta, true); err != nil {
		return err
	}
	whole := accept.Format != request.JSON || accept.Pretty
	var o *output
	w.Header()["Content-Type"] = contentTypes[accept.Format]
	for i, item := range page.Items {
		if i > 0 {
			*buffer = append(*buffer, ',')
		}
		if *buffer, err = t.appendRow(*buffer, item); err != nil {
			if o != nil {
				breakOff(req, err)
			}
			return err
		}
		if !whole && len(*buffer) > outputSize/2 {
			if o == nil {
				o = startOutput(w, req, code, len(page.Items)*len(*buffer)/(i+1))
			}
			o.write(*buffer)
			*buffer = (*buffer)[:0]
		}
	}
	*buffer = append(*buffer, "]}\n"...)
	if whole {
		return sendReadable(w, req, code, accept, *buffer)
	}
	if o == nil {
		o = startOutput(w, req, code, len(*buffer))
	}
	o.write(*buffer)
	return o.close()
}

// sendReadable sends JSON bytes as YAML or indented.
func sendReadable(w http.ResponseWriter, req *http.Request, code int, accept request.Accept, body []byte) error {
	if accept.Format == request.YAML {
		converted, err := yaml.JSONToYAML(body)
		if err != nil {
			return err
		}
		body = converted
	} else {
		body = request.Indent(body)
	}
	o := startOutput(w, req, code, len(body))
	o.write(body)
	return o.close()
}
